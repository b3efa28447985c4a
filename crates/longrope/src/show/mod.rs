//! Output: tables, plots, progress, dashboards and HTML pages.

pub(crate) mod closest_table;
pub(crate) mod difference;
pub(crate) mod effective_length;
pub(crate) mod escape;
mod event_file;
pub(crate) mod grid;
pub(crate) mod output;
pub(crate) mod perplexity_table;
pub(crate) mod pretrain_lines;
pub(crate) mod quantity;
pub(crate) mod report;
pub(crate) mod search_figures;
pub(crate) mod search_table;
pub(crate) mod search_view;
pub(crate) mod task_table;
pub(crate) mod training_lines;
pub(crate) mod tui;
