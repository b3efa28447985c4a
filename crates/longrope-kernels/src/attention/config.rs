//! What an attention call computes.

use super::documents::Documents;

/// What an attention call may see.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionConfig {
    /// Multiplies the scores before the softmax, usually `1 / sqrt(head_dim)`.
    pub scale: f64,
    /// A query sees itself and this many tokens less one before it; `None` is all of them.
    pub window: Option<usize>,
    /// A query sees its own document only; `None` is one document per sequence.
    pub documents: Option<Documents>,
}

impl AttentionConfig {
    /// Full causal attention with scores divided by `sqrt(head_dim)`.
    pub fn causal(head_dim: usize) -> Self {
        Self {
            scale: 1.0 / (head_dim as f64).sqrt(),
            window: None,
            documents: None,
        }
    }
}
