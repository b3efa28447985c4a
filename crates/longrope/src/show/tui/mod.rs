//! The dashboard of a search in the terminal.
//!
//! Burn's own dashboard shows metrics by training step and cannot show factors by pair, reference lines or workers. This
//! one uses the same library and the same key to stop.

mod dashboard;
mod draw;
mod keys;
mod standing;

pub(crate) use dashboard::Dashboard;
pub(crate) use standing::{Method, Standing};
