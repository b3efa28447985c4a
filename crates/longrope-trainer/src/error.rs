//! What can be wrong with a training configuration.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, PartialEq, thiserror::Error)]
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
}
