//! Effective length: how far a model keeps its score beyond the window it was trained on.

mod find;
mod length;

pub use find::effective_lengths;
pub use length::{EffectiveLength, EffectiveRule, KEPT_SHARE};
