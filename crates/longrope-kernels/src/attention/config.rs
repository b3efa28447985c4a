//! Settings of an attention call.

use super::documents::Documents;

/// Scale, soft cap and mask of an attention call.
#[derive(Clone, Debug, PartialEq)]
pub struct AttentionConfig {
    /// Multiplies the scores before the softmax, usually `1 / sqrt(head_dim)`.
    pub scale: f64,
    /// Soft cap `c`: scaled scores `s` become `c · tanh(s / c)` before the mask, so none exceeds `c` in magnitude. `None`
    /// means no cap.
    pub softcap: Option<f64>,
    /// Sliding window in tokens: a query sees itself and the `window - 1` tokens before it. `None` means no limit.
    pub window: Option<usize>,
    /// Packed documents: a query sees keys of its own document only. `None` means that each sequence is one document.
    pub documents: Option<Documents>,
}

impl AttentionConfig {
    /// Full causal attention without a soft cap, with scores divided by `sqrt(head_dim)`.
    pub fn causal(head_dim: usize) -> Self {
        Self {
            scale: 1.0 / (head_dim as f64).sqrt(),
            softcap: None,
            window: None,
            documents: None,
        }
    }
}
