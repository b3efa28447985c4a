//! Losses of token sequences under different RoPEs, measured on all devices at once.

mod held_out;
mod perplexities;
mod replicas;
#[cfg(test)]
pub(crate) use replicas::tests;
mod workers;

pub use held_out::HeldOut;
pub use perplexities::{PplCell, PplEvent, PplOptions, check_windows, perplexities};
pub use replicas::{Models, Replica};
pub use workers::{Losses, Measure, ScoreJob, Scoring, Workers};
