//! What can go wrong in training.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The peak learning rate is no positive number.
    #[error("`learning-rate` is {found}, expected a positive number")]
    LearningRate {
        /// The value given.
        found: f64,
    },
    /// Warming up takes longer than training.
    #[error("`warmup-steps` is {warmup}, expected at most the {total} steps of the run")]
    Warmup {
        /// Steps of warmup.
        warmup: usize,
        /// Steps in all.
        total: usize,
    },
    /// A setting of the optimizer is out of range.
    #[error("`{key}` is {found}, which is out of range")]
    Setting {
        /// The key.
        key: &'static str,
        /// The value given.
        found: f64,
    },
    /// Two steps in a row had no finite loss or gradient.
    #[error(
        "step {step} has loss {loss} and gradient norm {norm}, the second in a row that is not finite"
    )]
    NotFinite {
        /// The step.
        step: usize,
        /// Its loss.
        loss: f64,
        /// Norm of its gradients.
        norm: f64,
    },
    /// A step has no token whose loss counts.
    #[error("step {step} has no token whose loss counts")]
    NothingCounts {
        /// The step.
        step: usize,
    },
    /// A saved state is damaged or of another version.
    #[error("training state `{}`: {problem}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A file could not be read or written; the source names the path.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The model refuses, or one of its files does.
    #[error(transparent)]
    Model(#[from] longrope_model::Error),
    /// A session ended in a way it should not.
    #[error("{0}")]
    Session(String),
    /// What the caller's part of a session says.
    #[error(transparent)]
    Hook(crate::session::HookError),
}
