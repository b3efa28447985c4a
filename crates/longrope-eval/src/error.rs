//! What can go wrong while measuring.

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The model refused a batch.
    #[error("the model could not score a window")]
    Model(#[from] longrope_model::Error),

    /// A benchmark could not be read or asked.
    #[error(transparent)]
    Bench(#[from] crate::bench::BenchError),
}
