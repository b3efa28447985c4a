//! Normalization, rotary embedding and gated activation in one pass over memory; composed operations need four to
//! eight.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::simd;
use super::view::{View, contiguous, strided};
use crate::pairs::Pairs;

/// Number of elements from which on several threads are faster than one.
const PARALLEL_FROM: usize = 1 << 14;

/// Number of rows whose contributions to the gradient of a weight go into one partial sum.
const ROWS_PER_SUM: usize = 256;

/// Calls `body(row_idx, row)` for each row of `out`, on all cores if `out` is large enough.
fn for_each_row(out: &mut [f32], row: usize, body: impl Fn(usize, &mut [f32]) + Sync + Send) {
    let parallel = out.len() >= PARALLEL_FROM;
    let rows_per_task = (PARALLEL_FROM / 4 / row.max(1)).max(1);
    if parallel {
        out.par_chunks_mut(row)
            .with_min_len(rows_per_task)
            .enumerate()
            .for_each(|(i, row)| body(i, row));
    } else {
        for (i, row) in out.chunks_mut(row).enumerate() {
            body(i, row);
        }
    }
}

/// The weight of a normalization as a contiguous vector, and its epsilon in `f32`.
fn norm_parameters(weight: &FlexTensor, epsilon: f64) -> (Vec<f32>, f32) {
    let mut scratch = Vec::new();
    let weight = View::<1>::new(weight).row([0], &mut scratch).to_vec();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the kernel computes in f32"
    )]
    (weight, epsilon as f32)
}

/// See [`crate::rms_norm`].
pub(super) fn rms_norm(x: &FlexTensor, weight: &FlexTensor, epsilon: f64) -> FlexTensor {
    let x = View::<3>::new(x);
    let [batch, seq, hidden] = x.dims;
    let (weight, epsilon) = norm_parameters(weight, epsilon);
    let mut out = vec![0f32; batch * seq * hidden];
    for_each_row(&mut out, hidden, |i, out| {
        let mut scratch = Vec::new();
        let row = x.row([i / seq, i % seq, 0], &mut scratch);
        simd::rms_norm(out, row, &weight, epsilon);
    });
    contiguous(out, vec![batch, seq, hidden])
}

/// Gradients of [`rms_norm`] with respect to `x` and the weight.
pub(super) fn rms_norm_backward(
    x: &FlexTensor,
    weight: &FlexTensor,
    epsilon: f64,
    grad: &FlexTensor,
) -> [FlexTensor; 2] {
    let (x, grad) = (View::<3>::new(x), View::<3>::new(grad));
    let [batch, seq, hidden] = x.dims;
    let (weight, epsilon) = norm_parameters(weight, epsilon);
    let mut d_x = vec![0f32; batch * seq * hidden];
    // One partial sum of weight gradients per stretch of rows; the partial sums are added in order, so the result does
    // not depend on the number of threads.
    let n_stretches = (batch * seq).div_ceil(ROWS_PER_SUM).max(1);
    let mut d_weights = vec![0f32; n_stretches * hidden];
    d_x.par_chunks_mut(ROWS_PER_SUM * hidden)
        .zip(d_weights.par_chunks_mut(hidden))
        .enumerate()
        .for_each(|(stretch, (d_x, d_weight))| {
            let (mut x_scratch, mut grad_scratch) = (Vec::new(), Vec::new());
            for (i, d_x) in d_x.chunks_mut(hidden).enumerate() {
                let row = stretch * ROWS_PER_SUM + i;
                let index = [row / seq, row % seq, 0];
                let x = x.row(index, &mut x_scratch);
                let grad = grad.row(index, &mut grad_scratch);
                simd::rms_norm_backward(d_x, d_weight, x, &weight, grad, epsilon);
            }
        });
    let (sum, others) = d_weights.split_at_mut(hidden);
    for other in others.chunks(hidden) {
        for (sum, value) in sum.iter_mut().zip(other) {
            *sum += value;
        }
    }
    [
        contiguous(d_x, vec![batch, seq, hidden]),
        contiguous(sum.to_vec(), vec![hidden]),
    ]
}

/// See [`crate::rotate_half`] and [`crate::rotate_interleaved`]. The result is stored as `[batch, seq, heads, head_dim]`, like the output of a
/// projection.
pub(super) fn rotate(
    x: &FlexTensor,
    cos: &FlexTensor,
    sin: &FlexTensor,
    pairs: Pairs,
) -> FlexTensor {
    let turn = match pairs {
        Pairs::Halves => simd::rotate,
        Pairs::Neighbours => simd::rotate_neighbours,
    };
    let (x, cos, sin) = (View::<4>::new(x), View::<2>::new(cos), View::<2>::new(sin));
    let [batch, heads, seq, head_dim] = x.dims;
    let mut out = vec![0f32; batch * seq * heads * head_dim];
    for_each_row(&mut out, heads * head_dim, |i, out| {
        let (b, t) = (i / seq, i % seq);
        let (mut scratch, mut cos_scratch, mut sin_scratch) = (Vec::new(), Vec::new(), Vec::new());
        let cos = cos.row([t, 0], &mut cos_scratch);
        let sin = sin.row([t, 0], &mut sin_scratch);
        for (head, out) in out.chunks_mut(head_dim).enumerate() {
            let row = x.row([b, head, t, 0], &mut scratch);
            turn(out, row, cos, sin);
            out[2 * cos.len()..].copy_from_slice(&row[2 * cos.len()..]);
        }
    });
    let [d, hd, l] = [head_dim, heads * head_dim, seq].map(usize::cast_signed);
    strided(
        out,
        vec![batch, heads, seq, head_dim],
        vec![l * hd, d, hd, 1],
    )
}

/// See [`crate::swiglu`]. Overwrites the gate if no other tensor shares its memory.
pub(super) fn swiglu(mut gate: FlexTensor, up: &FlexTensor) -> FlexTensor {
    let up = View::<3>::new(up);
    let [batch, seq, width] = up.dims;
    let body = |i: usize, gate: &mut [f32]| {
        let mut scratch = Vec::new();
        simd::swiglu_in_place(gate, up.row([i / seq, i % seq, 0], &mut scratch));
    };
    let covers = gate.layout().is_contiguous()
        && gate.layout().start_offset() == 0
        && gate.storage::<f32>().len() == batch * seq * width;
    if covers && let Some(storage) = gate.try_storage_mut::<f32>() {
        for_each_row(storage, width, body);
        return gate;
    }
    let view = View::<3>::new(&gate);
    let mut out = Vec::with_capacity(batch * seq * width);
    let mut scratch = Vec::new();
    for b in 0..batch {
        for t in 0..seq {
            out.extend_from_slice(view.row([b, t, 0], &mut scratch));
        }
    }
    for_each_row(&mut out, width, body);
    contiguous(out, vec![batch, seq, width])
}

/// Gradients of [`swiglu`] with respect to gate and up.
pub(super) fn swiglu_backward(
    gate: &FlexTensor,
    up: &FlexTensor,
    grad: &FlexTensor,
) -> [FlexTensor; 2] {
    let (gate, up, grad) = (
        View::<3>::new(gate),
        View::<3>::new(up),
        View::<3>::new(grad),
    );
    let [batch, seq, width] = gate.dims;
    let mut d_gate = vec![0f32; batch * seq * width];
    let mut d_up = vec![0f32; batch * seq * width];
    d_gate
        .par_chunks_mut(width)
        .zip(d_up.par_chunks_mut(width))
        .with_min_len((PARALLEL_FROM / 4 / width.max(1)).max(1))
        .enumerate()
        .for_each(|(i, (d_gate, d_up))| {
            let index = [i / seq, i % seq, 0];
            let (mut gate_scratch, mut up_scratch) = (Vec::new(), Vec::new());
            let mut grad_scratch = Vec::new();
            d_up.copy_from_slice(grad.row(index, &mut grad_scratch));
            let gate = gate.row(index, &mut gate_scratch);
            let up = up.row(index, &mut up_scratch);
            simd::swiglu_backward(d_gate, d_up, gate, up);
        });
    [d_gate, d_up].map(|gradient| contiguous(gradient, vec![batch, seq, width]))
}
