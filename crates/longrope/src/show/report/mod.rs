//! The HTML page about a run folder: a summary, results, settings and provenance.

mod columns;
mod common_keys;
mod comparisons;
mod curves;
mod damaged;
mod data;
mod effective;
mod evaluations;
mod figures;
mod groups;
mod numbers;
mod page;
mod parts;
mod provenance;
mod runs;
mod settings;
mod summary;

pub(crate) use curves::{csv, write_events};
pub(crate) use data::RunReport;
pub(crate) use page::html;
pub(crate) use summary::sentences as summary_of;
