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
mod folder;
mod groups;
mod measurements;
mod numbers;
mod page;
mod parts;
mod provenance;
mod search;
mod settings;
mod summary;
mod trainings;

pub(crate) use curves::{csv, write_events};
pub(crate) use data::RunReport;
pub(crate) use measurements::measurements;
pub(crate) use page::html;
pub(crate) use summary::sentences as summary_of;
