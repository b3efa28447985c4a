//! Maxima and sums of powers of rows, and the gradient of a softmax.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::exponential::{exp, exp2};
use super::lanes::{LANES, total};

/// The larger number; `a` if one of them is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest element; negative infinity for an empty row. NaN is left out.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn max(row: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, *x);
        }
    }
    let sixteen: [f32; LANES / 2] = std::array::from_fn(|i| larger(lanes[i], lanes[i + LANES / 2]));
    let eight: [f32; 8] = std::array::from_fn(|i| larger(sixteen[i], sixteen[i + 8]));
    let four: [f32; 4] = std::array::from_fn(|i| larger(eight[i], eight[i + 4]));
    let most = larger(larger(four[0], four[2]), larger(four[1], four[3]));
    rest.iter().fold(most, |most, x| larger(most, *x))
}

/// Replaces each `x` by `2^(x - max)` and returns their sum.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn exp2_sum_in_place(row: &mut [f32], max: f32) -> f32 {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = row.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *x = exp2::<FMA>(*x - max);
            *lane += *x;
        }
    }
    let mut sum = total(lanes);
    for x in rest {
        *x = exp2::<FMA>(*x - max);
        sum += *x;
    }
    sum
}

/// `Σ e^(x - max)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn exp_sum(row: &[f32], max: f32) -> f32 {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = row.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += exp::<FMA>(*x - max);
        }
    }
    let tail: f32 = rest.iter().map(|x| exp::<FMA>(*x - max)).sum();
    total(lanes) + tail
}

/// Replaces each `x` by `factor · e^(x - shift)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn exp_scaled_in_place(row: &mut [f32], shift: f32, factor: f32) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    for x in row {
        *x = factor * exp::<FMA>(*x - shift);
    }
}

/// Replaces scores `s` by weights `p = 2^(s - log_sum_exp)`, and gradients of weights `dp` by gradients of scores `p ·
/// (dp - along)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn softmax_backward(
    scores: &mut [f32],
    gradients: &mut [f32],
    log_sum_exp: f32,
    along: f32,
) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    for (score, gradient) in scores.iter_mut().zip(gradients) {
        *score = exp2::<FMA>(*score - log_sum_exp);
        *gradient = *score * (*gradient - along);
    }
}
