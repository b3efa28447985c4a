//! The losses of rows of logits and their gradients.

use burn::backend::tensor::IntTensor;
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::Shape;

use super::ops::Float;
use super::softcap::{slope_of_cap, soft_cap, through_cap};

/// See [`Steps::losses`](super::steps::Steps::losses).
pub(super) fn losses<B: Backend>(
    logits: Float<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
) -> [Float<B>; 2] {
    let [n_rows, _] = logits.dims();
    let logits = soft_cap(logits, softcap);
    let max = logits.clone().max(1);
    let total = (logits.clone() - max.clone()).exp().sum(1);
    let chosen = logits.gather(1, column::<B>(targets)); // [n_rows, 1]
    let sums = total.ln();
    [sums.clone() + (max.clone() - chosen), sums + max].map(|x| x.reshape([n_rows]))
}

/// See [`Steps::gradients_of_logits`](super::steps::Steps::gradients_of_logits).
///
/// With `p` the softmax of a row's capped logits, the gradient of its logits is `grad · (p - onehot)`, times the slope of
/// the soft cap.
pub(super) fn gradients_of_logits<B: Backend>(
    logits: Float<B>,
    targets: IntTensor<B>,
    softcap: Option<f64>,
    numbers: [Float<B>; 2],
) -> Float<B> {
    let [n_rows, _] = logits.dims();
    let logits = soft_cap(logits, softcap);
    let slope = slope_of_cap(&logits, softcap);
    let [log_sum_exp, grad] = numbers.map(|x| x.reshape([n_rows, 1]));
    let probabilities = (logits - log_sum_exp).exp();
    let d_logits = probabilities * grad.clone();
    through_cap(d_logits.add_at(1, column::<B>(targets), grad.neg()), slope)
}

/// `[n, 1]` of `[n]`.
fn column<B: Backend>(numbers: IntTensor<B>) -> IntTensor<B> {
    let n = numbers.shape()[0];
    B::int_reshape(numbers, Shape::from([n, 1]))
}
