//! Operations on each element of a row, or on each pair.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::exponential::exp;

/// Multiplies every element by the factor at the same place.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn multiply_in_place(row: &mut [f32], factors: &[f32]) {
    for (x, factor) in row.iter_mut().zip(factors) {
        *x *= factor;
    }
}

/// Multiplies every element by `factor`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn scale_in_place(row: &mut [f32], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

/// `out = x · factor`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn scale_into(out: &mut [f32], x: &[f32], factor: f32) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x * factor;
    }
}

/// Rotates the pairs `(x[i], x[i + n])` of the first `2n` elements by `n` angles given as cosines and sines.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn rotate(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32]) {
    let n = cos.len();
    let (out_left, out_right) = out[..2 * n].split_at_mut(n);
    let (left, right) = x[..2 * n].split_at(n);
    for i in 0..n {
        out_left[i] = left[i] * cos[i] - right[i] * sin[i];
        out_right[i] = right[i] * cos[i] + left[i] * sin[i];
    }
}

/// Rotates the pairs `(x[2i], x[2i + 1])` of the first `2n` elements by `n` angles given as cosines and sines.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn rotate_neighbours(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32]) {
    let (out, _) = out.as_chunks_mut::<2>();
    let (x, _) = x.as_chunks::<2>();
    let turns = cos.iter().zip(sin);
    for ((out, [left, right]), (cos, sin)) in out.iter_mut().zip(x).zip(turns) {
        *out = [left * cos - right * sin, right * cos + left * sin];
    }
}

/// `gate = gate / (1 + e^-gate) · up`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn swiglu_in_place(gate: &mut [f32], up: &[f32]) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp::<FMA>(-*gate)) * up;
    }
}

/// Overwrites `grad` with the gradient of up, and `d_gate` with the gradient of the gate.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn swiglu_backward(
    d_gate: &mut [f32],
    grad: &mut [f32],
    gate: &[f32],
    up: &[f32],
) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    let n = gate.len();
    let (d_gate, grad, up) = (&mut d_gate[..n], &mut grad[..n], &up[..n]);
    for i in 0..n {
        let sigmoid = 1.0 / (1.0 + exp::<FMA>(-gate[i]));
        let silu = gate[i] * sigmoid;
        d_gate[i] = grad[i] * up[i] * (sigmoid + silu - silu * sigmoid);
        grad[i] *= silu;
    }
}
