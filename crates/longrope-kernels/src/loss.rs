//! The loss of a language model without its logits.

use burn::backend::Dispatch;
use burn::tensor::{Int, Tensor};

use crate::backend::operations::Operations;
use crate::softcap::assert_softcap;

/// Negative log-likelihood of each target under the softmax of `hidden · weightᵀ`, in nats.
///
/// `nll = ln Σ_v exp(logit_v) - logit_target`, in `f32` (in `f64` for `f64`). Logits are computed for one chunk of rows
/// at a time. The backward pass computes them again, also in chunks.
///
/// With a soft cap `c`, logits `l` become `c · tanh(l / c)` before the softmax (Gemma Team, arXiv 2408.00118, section
/// 2).
///
/// To weight tokens, multiply the result: `(linear_nll(..) * token_weights).sum() / total`. A token of weight 0 does
/// not contribute to any gradient.
///
/// # Shapes
/// - `hidden`: `[rows, hidden]`
/// - `weight`: `[vocab, hidden]`
/// - `targets`: `[rows]`, each in `0..vocab`
/// - output: `[rows]`
///
/// # Panics
/// If the shapes do not match, or the soft cap is not a positive finite number.
pub fn linear_nll(
    hidden: Tensor<2>,
    weight: Tensor<2>,
    targets: Tensor<1, Int>,
    softcap: Option<f64>,
) -> Tensor<1> {
    let [n_rows, hidden_size] = hidden.dims();
    let [_, weight_size] = weight.dims();
    assert_eq!(weight_size, hidden_size, "hidden size of the weight");
    assert_eq!(targets.dims(), [n_rows], "one target per row");
    assert_softcap(softcap);
    Tensor::from_dispatch(<Dispatch as Operations>::linear_nll(
        hidden.into_dispatch(),
        weight.into_dispatch(),
        targets.into_dispatch(),
        softcap,
    ))
}
