//! The HTML page about a run folder: question, results, settings and provenance.

mod data;
mod figures;
mod page;

pub(crate) use data::RunReport;
pub(crate) use page::html;
