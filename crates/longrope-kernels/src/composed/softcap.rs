//! The soft cap of scores and logits.

use burn::backend::Backend;

use super::ops::Float;

/// `c · tanh(x / c)` for a soft cap `c`, or `x` if there is none.
pub(super) fn soft_cap<B: Backend>(x: Float<B>, softcap: Option<f64>) -> Float<B> {
    let Some(cap) = softcap else { return x };
    x.scale(1.0 / cap).tanh().scale(cap)
}

/// The slope of [`soft_cap`] at the `x` whose capped value is `capped`: `1 - (capped / c)²`. `None` if there is no cap.
pub(super) fn slope_of_cap<B: Backend>(
    capped: &Float<B>,
    softcap: Option<f64>,
) -> Option<Float<B>> {
    let tanh = capped.clone().scale(1.0 / softcap?);
    Some((tanh.clone() * tanh).neg().plus(1.0))
}

/// `gradient` times the slope, if there is one.
pub(super) fn through_cap<B: Backend>(gradient: Float<B>, slope: Option<Float<B>>) -> Float<B> {
    match slope {
        None => gradient,
        Some(slope) => gradient * slope,
    }
}
