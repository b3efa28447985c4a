//! Losses of token sequences under different RoPEs, measured on all devices at once.

mod adaptation;
mod job;
mod measurer;
mod perplexities;
mod replicas;
mod validation;
mod workers;

pub use adaptation::{AdaptJob, Adaptation, Adapted};
pub use job::{Losses, Measure, ScoreJob};
pub use measurer::Measurer;
pub use perplexities::{PplCell, PplEvent, PplOptions, check_windows, perplexities};
pub use replicas::{Models, Replica};
pub use validation::HeldOut;
pub use workers::{Scoring, Workers};

#[cfg(test)]
pub(crate) use replicas::tests;
