//! Negative log-likelihoods and their gradients over chunks of rows.

use std::ops::Range;

use burn::backend::Slice;
use burn::backend::tensor::IntTensor;

use super::chunks::rows_per_chunk;
use super::ops::{Float, wide};
use super::products::Products;
use super::steps::Steps;

/// See [`crate::linear_nll`]; the second result is the log-sum-exp of each row's logits, `[rows]`. The logits of a chunk
/// take up to `chunk_bytes` in `f32`.
pub(crate) fn linear_nll<B: Steps>(
    hidden: Float<B>,
    weight: Float<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
    chunk_bytes: usize,
) -> [Float<B>; 2] {
    let [n_rows, _] = hidden.dims();
    let [vocab, _] = weight.dims();
    let weight = weight.cast(hidden.dtype());
    let step = rows_per_chunk(4 * vocab, n_rows, chunk_bytes);
    let (mut losses, mut sums) = (Vec::new(), Vec::new());
    for start in (0..n_rows).step_by(step) {
        let rows = start..(start + step).min(n_rows);
        let targets = targets_of::<B>(&targets, &rows);
        let hidden = hidden.clone().part(0, rows);
        let logits = B::product(hidden, weight.clone().swap(0, 1)); // [n, vocab]
        let [loss, sum] = B::losses(logits, targets, softcap);
        losses.push(loss);
        sums.push(sum);
    }
    [losses, sums].map(|parts| Float::cat(parts, 0))
}

/// Gradients of [`linear_nll`] with respect to the hidden states and, if `needs_weight`, the weight. `log_sum_exp` is its
/// second result, `grad` is the gradient of each loss.
pub(crate) fn linear_nll_backward<B: Steps>(
    [hidden, weight]: [Float<B>; 2],
    targets: IntTensor<B>,
    softcap: Option<f64>,
    [log_sum_exp, grad]: [Float<B>; 2],
    needs_weight: bool,
    products: Products,
) -> (Float<B>, Option<Float<B>>) {
    let [n_rows, _] = hidden.dims();
    let [vocab, size] = weight.dims();
    let (dtype, weight_dtype) = (hidden.dtype(), weight.dtype());
    let weight = weight.cast(dtype);
    let operand = weight.clone().cast(products.dtype);
    let step = rows_per_chunk(4 * vocab, n_rows, products.block_bytes);
    let mut d_weight = needs_weight.then(|| Float::zeros([vocab, size], wide(dtype), &weight));
    let mut d_hidden = Vec::with_capacity(n_rows.div_ceil(step));
    for start in (0..n_rows).step_by(step) {
        let rows = start..(start + step).min(n_rows);
        let numbers = [&log_sum_exp, &grad].map(|x| x.clone().part(0, rows.clone()).wide());
        let targets = targets_of::<B>(&targets, &rows);
        let hidden = hidden.clone().part(0, rows);
        let logits = B::product(hidden.clone(), weight.clone().swap(0, 1));
        let d_logits = B::gradients_of_logits(logits, targets, softcap, numbers, products.dtype);
        d_hidden.push(B::product(d_logits.clone(), operand.clone()).cast(dtype));
        d_weight =
            d_weight.map(|sum| sum + B::product(d_logits.swap(0, 1), hidden.cast(products.dtype)));
    }
    let d_weight = d_weight.map(|sum| sum.cast(weight_dtype));
    (Float::cat(d_hidden, 0), d_weight)
}

/// The targets of some rows, `[n]`.
fn targets_of<B: Steps>(targets: &IntTensor<B>, rows: &Range<usize>) -> IntTensor<B> {
    B::int_slice(targets.clone(), &[Slice::from(rows.clone())])
}
