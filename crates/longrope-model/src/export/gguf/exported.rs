//! What an export as GGUF has written.

use longrope_gguf::Loss;

/// What an export as GGUF has written.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExportedGguf {
    /// The context that the file states, in tokens. With the short factors alone it may be below the one asked for.
    pub context: usize,
    /// What the format cannot express.
    pub losses: Vec<Loss>,
}
