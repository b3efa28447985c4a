//! Products of rows.

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::lanes::{LANES, fma, total, total_of_half};

/// `Σ left · right`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
pub(in crate::flex) fn dot(left: &[f32], right: &[f32]) -> f32 {
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
pub(in crate::flex) fn dots(out: &mut [f32], rows: &[f32], weight: &[f32]) {
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
