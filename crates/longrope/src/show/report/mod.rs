//! A run folder as one page: what was asked, how it was measured, what came out.

mod data;
mod figures;
mod page;

pub(crate) use data::RunReport;
pub(crate) use page::html;
