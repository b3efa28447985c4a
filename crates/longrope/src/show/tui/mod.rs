//! A dashboard in the terminal, in the spirit of that of Burn's training.
//!
//! Burn's own draws metrics by training step and cannot be taught factors by pair, lines to compare
//! with, or workers. This one uses the same library and the same key to stop.

mod draw;
mod standing;
mod terminal;

pub(crate) use standing::Standing;
pub(crate) use terminal::Dashboard;
