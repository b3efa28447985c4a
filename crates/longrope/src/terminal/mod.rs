//! The terminal: progress bars, Ctrl-C, the end of the terminal, and the switch to a dashboard and back.

pub(crate) mod hang_up;
pub(crate) mod progress;
pub(crate) mod screen;
pub(crate) mod signals;
