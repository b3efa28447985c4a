//! Time of evaluation and training, as numbers of operations.

use super::sizes::Sizes;
use crate::config::ModelConfig;

/// Speed of attention in operations per second, relative to matrix products.
const ATTENTION_EFFICIENCY: f64 = 0.5;

/// Time of a training step in forward passes: one forward pass, one to recompute layers, and two for the backward pass.
pub const STEP_FORWARDS: f64 = 4.0;

/// Floating-point operations of a forward pass over `n` tokens: `2n(P' + hv)` for matrix products, where `P'` are the
/// parameters of the layers without experts that a token does not use, and `2n²q·layers` for attention, whose operations
/// count twice because they are slower.
pub fn forward_flops(model: &ModelConfig, n: usize) -> f64 {
    let s = Sizes::of(model);
    let n = n as f64;
    // A layer with a sliding window sees at most `window` tokens.
    let seen: f64 = model
        .windows
        .iter()
        .map(|window| window.map_or(n / 2.0, |window| (window as f64).min(n / 2.0)))
        .sum();
    let products = 2.0 * n * (s.all_layers - s.unused_params + s.h * s.v);
    products + 4.0 * n * s.q * seen / ATTENTION_EFFICIENCY
}
