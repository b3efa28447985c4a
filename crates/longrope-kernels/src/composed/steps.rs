//! The steps of the composed implementations that a backend may have faster kernels for.

use burn::backend::Backend;
use burn::backend::tensor::IntTensor;
use burn::tensor::DType;

use super::attention::gradients::{self, RowResults};
use super::attention::softmax::{self, Softmax, Weighed};
use super::attention::view::View;
use super::ops::Float;
use super::rows;

/// The default implementations are composed of Burn's operations.
pub(crate) trait Steps: Backend {
    /// `x · y` of operands of one type, in the type that sums are computed in.
    fn product(x: Float<Self>, y: Float<Self>) -> Float<Self> {
        x.wide().matmul(y.wide())
    }

    /// The weights of a block of attention, in `dtype` or wider, and the softmax with that block.
    /// `scores` are `query · keyᵀ`, `[batch, n_kv_heads, group · queries, keys]`.
    fn weights(
        scores: Float<Self>,
        before: Option<Softmax<Self>>,
        view: &View<Self>,
        _dtype: DType,
    ) -> Weighed<Self> {
        softmax::with_block(scores, before, view)
    }

    /// The weights of a block and the gradients of its scores, both in `dtype`. `d_weights` are the gradients of the weights,
    /// in the shape of the scores.
    fn gradients_of_scores(
        scores: Float<Self>,
        d_weights: Float<Self>,
        of_rows: RowResults<Self>,
        view: &View<Self>,
        dtype: DType,
    ) -> [Float<Self>; 2] {
        gradients::of_scores(scores, d_weights, of_rows, view).map(|x| x.cast(dtype))
    }

    /// The loss of each row of logits and its log-sum-exp, both `[rows]`. `logits` are `[rows, vocab]`, without the soft cap.
    fn losses(
        logits: Float<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> [Float<Self>; 2] {
        rows::losses(logits, targets, softcap)
    }

    /// The gradients of logits in `dtype`. `log_sum_exp` is the second result of [`losses`](Self::losses), `grad` are the
    /// gradients of the losses, `[rows]`.
    fn gradients_of_logits(
        logits: Float<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
        [log_sum_exp, grad]: [Float<Self>; 2],
        dtype: DType,
    ) -> Float<Self> {
        rows::gradients_of_logits(logits, targets, softcap, [log_sum_exp, grad]).cast(dtype)
    }
}
