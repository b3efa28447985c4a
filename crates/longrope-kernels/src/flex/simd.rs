//! Loops over rows that the compiler vectorizes, compiled for several instruction sets and selected at run time.
//!
//! Sums and maxima use [`LANES`] independent accumulators. The compiler may not reorder floating-point additions, so a
//! loop with one accumulator would not be vectorized. The order of the additions depends only on the length of the row:
//! the same input gives the same bits on all machines with the same instruction set.
#![expect(
    clippy::inline_always,
    reason = "a loop with a call inside is not vectorized"
)]

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

/// Number of independent accumulators: two AVX-512 registers, or four AVX2 registers.
const LANES: usize = 32;

/// `a · b + c`, fused if the target has an instruction for that. Without one, `mul_add` would be a slow function call.
#[inline(always)]
pub(super) fn fma<const FMA: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FMA { a.mul_add(b, c) } else { a * b + c }
}

/// Adding 1.5 · 2^23 rounds to the nearest integer and leaves it in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;

/// `2^x` with an error of about two units in the last place, for `x <= 127`. Below -126, where normal numbers end, the
/// result is 2^-126. NaN stays NaN.
///
/// `x = n + r` with `|r| <= 1/2`. `2^r` is the minimax polynomial of degree 5 (largest relative error 9e-8), and `2^n`
/// is computed by adding `n` to the exponent bits.
#[inline(always)]
fn exp2<const FMA: bool>(x: f32) -> f32 {
    #[expect(
        clippy::approx_constant,
        reason = "a minimax coefficient, close to ln 2 but not equal"
    )]
    const FIRST: f32 = 0.693_147;
    // In this order, NaN is kept.
    let x = if x < -126.0 { -126.0 } else { x };
    let shifted = x + ROUND;
    let r = x - (shifted - ROUND);
    let p = fma::<FMA>(0.001_326_472_7, r, 0.009_671_513);
    let p = fma::<FMA>(p, r, 0.055_507_336);
    let p = fma::<FMA>(p, r, 0.240_222_42);
    let p = fma::<FMA>(p, r, FIRST);
    let p = fma::<FMA>(p, r, 1.0);
    let power = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    // The bits of NaN are not to be added to.
    if x.is_nan() { x } else { power }
}

/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, as `n +` [`ROUND`] and `r`.
#[inline(always)]
pub(super) fn split<const FMA: bool>(x: f32) -> (f32, f32) {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(-n, LN2_LOW, fma::<FMA>(-n, LN2_HIGH, x));
    (shifted, r)
}

/// `e^r - 1` as a Taylor polynomial: `r + r²/2 + … + r⁵/120 + last · r⁶`.
#[inline(always)]
pub(super) fn power_series<const FMA: bool>(last: f32, r: f32) -> f32 {
    let p = fma::<FMA>(last, r, 1.0 / 120.0);
    let p = fma::<FMA>(p, r, 1.0 / 24.0);
    let p = fma::<FMA>(p, r, 1.0 / 6.0);
    let p = fma::<FMA>(p, r, 0.5);
    fma::<FMA>(p * r, r, r)
}

/// `e^x` with an error of about two units in the last place; 0 below -87, where normal `f32` numbers end. NaN stays
/// NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`. `e^r` is the Taylor polynomial of degree 6, and `2^n` is computed by adding
/// `n` to the exponent bits.
#[inline(always)]
fn exp<const FMA: bool>(x: f32) -> f32 {
    let (shifted, r) = split::<FMA>(x.clamp(-87.0, 88.0));
    let p = power_series::<FMA>(1.0 / 720.0, r) + 1.0;
    let power = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < -87.0 {
        0.0
    } else if x.is_nan() {
        x
    } else {
        power
    }
}

/// The sum of accumulators, by halves: one after the other they would wait for each other longer than some rows take.
#[inline(always)]
fn total(lanes: [f32; LANES]) -> f32 {
    total_of_half(std::array::from_fn(|i| lanes[i] + lanes[i + LANES / 2]))
}

/// The same for half as many. In fixed steps, because a loop over halves that shrink is not vectorized.
#[inline(always)]
fn total_of_half(lanes: [f32; LANES / 2]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| lanes[i] + lanes[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

/// The larger number; `a` if one of them is NaN.
#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// The largest element; negative infinity for an empty row. NaN is left out.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn max(row: &[f32]) -> f32 {
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
pub(super) fn exp2_sum_in_place(row: &mut [f32], max: f32) -> f32 {
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
pub(super) fn exp_sum(row: &[f32], max: f32) -> f32 {
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
pub(super) fn exp_scaled_in_place(row: &mut [f32], shift: f32, factor: f32) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    for x in row {
        *x = factor * exp::<FMA>(*x - shift);
    }
}

/// Replaces scores `s` by weights `p = 2^(s - log_sum_exp)`, and gradients of weights `dp` by gradients of scores `p ·
/// (dp - along)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn softmax_backward(
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

/// Multiplies every element by the factor at the same place.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn multiply_in_place(row: &mut [f32], factors: &[f32]) {
    for (x, factor) in row.iter_mut().zip(factors) {
        *x *= factor;
    }
}

/// `Σ left · right`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (left_chunks, left_rest) = left.as_chunks::<LANES>();
    let (right_chunks, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_chunks.iter().zip(right_chunks) {
        for ((lane, x), y) in lanes.iter_mut().zip(left).zip(right) {
            *lane += x * y;
        }
    }
    let tail: f32 = left_rest.iter().zip(right_rest).map(|(x, y)| x * y).sum();
    total(lanes) + tail
}

/// Number of accumulators of a row in [`dots`]: two AVX2 registers. Four rows then fit into the registers.
const DOT_LANES: usize = LANES / 2;

/// The end of a product: the sum of the accumulators, and the elements `x · weight` that fill no register.
#[inline(always)]
fn dot_end<const FMA: bool>(lanes: [f32; DOT_LANES], x: &[f32], weight: &[f32]) -> f32 {
    let mut sum = total_of_half(lanes);
    for (x, weight) in x.iter().zip(weight) {
        sum = fma::<FMA>(*x, *weight, sum);
    }
    sum
}

/// `row · weight`, with the additions in the order of [`four_dots`].
#[inline(always)]
fn one_dot<const FMA: bool>(row: &[f32], weight: &[f32]) -> f32 {
    let (row, row_rest) = row.as_chunks::<DOT_LANES>();
    let (weight, rest) = weight.as_chunks::<DOT_LANES>();
    let mut lanes = [0f32; DOT_LANES];
    for (row, weight) in row.iter().zip(weight) {
        for lane in 0..DOT_LANES {
            lanes[lane] = fma::<FMA>(row[lane], weight[lane], lanes[lane]);
        }
    }
    dot_end::<FMA>(lanes, row_rest, rest)
}

/// The products of four rows with `weight`, which is loaded once. The accumulators are four variables because the compiler
/// would keep an array of them in memory.
#[inline(always)]
fn four_dots<const FMA: bool>(rows: [&[f32]; 4], weight: &[f32]) -> [f32; 4] {
    let [(a, a_rest), (b, b_rest), (c, c_rest), (d, d_rest)] =
        rows.map(<[f32]>::as_chunks::<DOT_LANES>);
    let (weight, rest) = weight.as_chunks::<DOT_LANES>();
    let [mut sum_a, mut sum_b, mut sum_c, mut sum_d] = [[0f32; DOT_LANES]; 4];
    let chunks = a.iter().zip(b).zip(c.iter().zip(d)).zip(weight);
    for (((a, b), (c, d)), weight) in chunks {
        for lane in 0..DOT_LANES {
            sum_a[lane] = fma::<FMA>(a[lane], weight[lane], sum_a[lane]);
            sum_b[lane] = fma::<FMA>(b[lane], weight[lane], sum_b[lane]);
            sum_c[lane] = fma::<FMA>(c[lane], weight[lane], sum_c[lane]);
            sum_d[lane] = fma::<FMA>(d[lane], weight[lane], sum_d[lane]);
        }
    }
    [
        dot_end::<FMA>(sum_a, a_rest, rest),
        dot_end::<FMA>(sum_b, b_rest, rest),
        dot_end::<FMA>(sum_c, c_rest, rest),
        dot_end::<FMA>(sum_d, d_rest, rest),
    ]
}

/// The products of `rows`, one after the other, with `weight`. The sums of a row do not depend on the other rows.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn dots(out: &mut [f32], rows: &[f32], weight: &[f32]) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    let width = weight.len();
    let (fours, rest) = out.as_chunks_mut::<4>();
    let (four_rows, other_rows) = rows.split_at(4 * fours.len() * width);
    for (out, rows) in fours.iter_mut().zip(four_rows.chunks_exact(4 * width)) {
        let (a, b) = rows.split_at(2 * width);
        let ((a, b), (c, d)) = (a.split_at(width), b.split_at(width));
        *out = four_dots::<FMA>([a, b, c, d], weight);
    }
    for (out, row) in rest.iter_mut().zip(other_rows.chunks_exact(width)) {
        *out = one_dot::<FMA>(row, weight);
    }
}

/// Multiplies every element by `factor`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn scale_in_place(row: &mut [f32], factor: f32) {
    for x in row {
        *x *= factor;
    }
}

/// `out = x · factor`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn scale_into(out: &mut [f32], x: &[f32], factor: f32) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = x * factor;
    }
}

/// `out = weight · x / sqrt(mean(x²) + epsilon)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn rms_norm(out: &mut [f32], x: &[f32], weight: &[f32], epsilon: f32) {
    let mut lanes = [0f32; LANES];
    let (chunks, rest) = x.as_chunks::<LANES>();
    for chunk in chunks {
        for (lane, x) in lanes.iter_mut().zip(chunk) {
            *lane += x * x;
        }
    }
    let tail: f32 = rest.iter().map(|x| x * x).sum();
    let mean = (total(lanes) + tail) / x.len() as f32;
    let inverse = 1.0 / (mean + epsilon).sqrt();
    for ((out, x), weight) in out.iter_mut().zip(x).zip(weight) {
        *out = weight * (x * inverse);
    }
}

/// The gradient of the normalization of one row: `dx = (dn - n · mean(dn ∘ n)) / r` with `dn = dy ∘ weight`, `n = x /
/// r` and the root mean square `r`. Adds `dy ∘ n` to `d_weight`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn rms_norm_backward(
    d_x: &mut [f32],
    d_weight: &mut [f32],
    x: &[f32],
    weight: &[f32],
    grad: &[f32],
    epsilon: f32,
) {
    let n = x.len();
    let (weight, grad) = (&weight[..n], &grad[..n]);
    let (d_x, d_weight) = (&mut d_x[..n], &mut d_weight[..n]);
    let mut squares = [0f32; LANES];
    let mut products = [0f32; LANES];
    let whole = n - n % LANES;
    for at in (0..whole).step_by(LANES) {
        for lane in 0..LANES {
            let i = at + lane;
            squares[lane] += x[i] * x[i];
            products[lane] += grad[i] * weight[i] * x[i];
        }
    }
    let (mut square, mut product) = (total(squares), total(products));
    for i in whole..n {
        square += x[i] * x[i];
        product += grad[i] * weight[i] * x[i];
    }
    let inverse = 1.0 / (square / n as f32 + epsilon).sqrt();
    let along = product * inverse / n as f32; // mean(dn ∘ n)
    for i in 0..n {
        let normalized = x[i] * inverse;
        d_weight[i] += grad[i] * normalized;
        d_x[i] = (grad[i] * weight[i] - normalized * along) * inverse;
    }
}

/// Rotates the pairs `(x[i], x[i + n])` of the first `2n` elements by `n` angles given as cosines and sines.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn rotate(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32]) {
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
pub(super) fn rotate_neighbours(out: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32]) {
    let (out, _) = out.as_chunks_mut::<2>();
    let (x, _) = x.as_chunks::<2>();
    let turns = cos.iter().zip(sin);
    for ((out, [left, right]), (cos, sin)) in out.iter_mut().zip(x).zip(turns) {
        *out = [left * cos - right * sin, right * cos + left * sin];
    }
}

/// `gate = gate / (1 + e^-gate) · up`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn swiglu_in_place(gate: &mut [f32], up: &[f32]) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    for (gate, up) in gate.iter_mut().zip(up) {
        *gate = *gate / (1.0 + exp::<FMA>(-*gate)) * up;
    }
}

/// Overwrites `grad` with the gradient of up, and `d_gate` with the gradient of the gate.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(super) fn swiglu_backward(d_gate: &mut [f32], grad: &mut [f32], gate: &[f32], up: &[f32]) {
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

#[cfg(test)]
#[path = "simd_tests.rs"]
mod tests;
