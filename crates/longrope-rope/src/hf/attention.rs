//! Attention scales: a number in a config, a policy in a spec.

use crate::AttentionScale;

/// Relative difference below which two numbers of a config are equal: far above rounding, far below any effect.
const SAME: f64 = 1e-12;

pub(super) fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= SAME * a.abs().max(b.abs())
}

/// The policy that gives `value`. The default of the type is preferred, so that it survives being written as a number.
pub(super) fn attention_policy(
    value: f64,
    default: AttentionScale,
    scale: f64,
    original_context: usize,
) -> AttentionScale {
    if same(value, default.value(scale, original_context)) {
        default
    } else if same(value, 1.0) {
        AttentionScale::None {}
    } else {
        AttentionScale::Constant { value }
    }
}
