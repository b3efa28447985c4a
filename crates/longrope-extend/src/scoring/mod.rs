//! Losses of token sequences under different RoPEs, measured on all devices at once.

mod adaptation;
mod held_out;
mod job;
mod measurer;
mod perplexities;
mod replicas;
#[cfg(test)]
pub(crate) use replicas::tests;
mod workers;

pub use adaptation::{AdaptJob, AdaptWindows, Adaptation, Adapted};
pub use held_out::HeldOut;
pub use job::{Losses, Measure, ScoreJob};
pub use measurer::Measurer;
pub use perplexities::{PplCell, PplEvent, PplOptions, check_windows, perplexities};
pub use replicas::{Models, Replica};
pub use workers::{Scoring, Workers};
