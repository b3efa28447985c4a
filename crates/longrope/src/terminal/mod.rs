//! The terminal: progress bars, Ctrl-C, and the switch to a dashboard and back.

pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod signals;
