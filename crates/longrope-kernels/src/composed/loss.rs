//! Negative log-likelihoods and their gradients over chunks of rows.

use burn::backend::Backend;
use burn::backend::Slice;
use burn::backend::tensor::IntTensor;
use burn::tensor::Shape;

use super::chunks::rows_per_chunk;
use super::ops::{Float, wide};
use super::softcap::{slope_of_cap, soft_cap, through_cap};

/// See [`crate::linear_nll`]. The logits of a chunk take up to `chunk_bytes` in `f32`.
pub(crate) fn linear_nll<B: Backend>(
    hidden: Float<B>,
    weight: Float<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
    chunk_bytes: usize,
) -> Float<B> {
    let [n_rows, _] = hidden.dims();
    let [vocab, _] = weight.dims();
    let weight = weight.cast(hidden.dtype());
    let step = rows_per_chunk(4 * vocab, n_rows, chunk_bytes);
    let losses = (0..n_rows).step_by(step).map(|start| {
        let rows = start..(start + step).min(n_rows);
        let n = rows.len();
        let target = targets_of::<B>(&targets, rows.start, n);
        let logits = hidden
            .clone()
            .part(0, rows)
            .matmul(weight.clone().swap(0, 1)) // [n, vocab]
            .wide();
        let logits = soft_cap(logits, softcap);
        let max = logits.clone().max(1);
        let total = (logits.clone() - max.clone()).exp().sum(1);
        let chosen = logits.gather(1, target); // [n, 1]
        (total.ln() + (max - chosen)).reshape([n])
    });
    Float::cat(losses.collect(), 0)
}

/// Gradients of [`linear_nll`] with respect to the hidden states and, if `needs_weight`, the weight; `grad` is the
/// gradient of each loss.
///
/// With `p` the softmax of a row's capped logits, the gradient of its logits is `grad · (p - onehot)`, times the slope of
/// the soft cap.
pub(crate) fn linear_nll_backward<B: Backend>(
    [hidden, weight]: [Float<B>; 2],
    targets: IntTensor<B>,
    softcap: Option<f64>,
    grad: Float<B>,
    needs_weight: bool,
    chunk_bytes: usize,
) -> (Float<B>, Option<Float<B>>) {
    let [n_rows, _] = hidden.dims();
    let [vocab, size] = weight.dims();
    let (dtype, weight_dtype) = (hidden.dtype(), weight.dtype());
    let weight = weight.cast(dtype);
    let step = rows_per_chunk(4 * vocab, n_rows, chunk_bytes);
    let mut d_weight = needs_weight.then(|| Float::zeros([vocab, size], wide(dtype), &weight));
    let mut d_hidden = Vec::with_capacity(n_rows.div_ceil(step));
    for start in (0..n_rows).step_by(step) {
        let rows = start..(start + step).min(n_rows);
        let n = rows.len();
        let target = targets_of::<B>(&targets, rows.start, n);
        let grad = grad.clone().part(0, rows.clone()).wide().reshape([n, 1]);
        let hidden = hidden.clone().part(0, rows);
        let logits = hidden.clone().matmul(weight.clone().swap(0, 1)).wide();
        let logits = soft_cap(logits, softcap);
        let slope = slope_of_cap(&logits, softcap);
        let max = logits.clone().max(1);
        let powers = (logits - max).exp();
        let total = powers.clone().sum(1);
        let d_logits = (powers / total * grad.clone()).add_at(1, target, grad.neg());
        let d_logits = through_cap(d_logits, slope);
        let d_rows = d_logits.clone().cast(dtype).matmul(weight.clone());
        d_hidden.push(d_rows);
        d_weight = d_weight.map(|sum| sum + d_logits.swap(0, 1).matmul(hidden.wide()));
    }
    let d_weight = d_weight.map(|sum| sum.cast(weight_dtype));
    (Float::cat(d_hidden, 0), d_weight)
}

/// The targets of a chunk as a column, `[n, 1]`.
fn targets_of<B: Backend>(targets: &IntTensor<B>, start: usize, n: usize) -> IntTensor<B> {
    let rows = B::int_slice(targets.clone(), &[Slice::from(start..start + n)]);
    B::int_reshape(rows, Shape::from([n, 1]))
}
