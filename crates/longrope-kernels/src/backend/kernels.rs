//! The implementations of the operations on one backend, forward and backward.

use burn::backend::Backend;
use burn::backend::tensor::{FloatTensor, IntTensor};

use crate::attention::config::AttentionConfig;
use crate::composed::{self, Float};
use crate::pairs::Pairs;

/// What the forward pass of attention saves for the backward pass, besides the inputs.
#[derive(Clone, Debug)]
pub(crate) struct Saved<B: Backend> {
    /// The output of the forward pass.
    pub(crate) output: FloatTensor<B>,
    /// Log-sum-exp of each query's scores, `[batch, n_heads, seq_q]`. `None` if the forward pass does not compute it;
    /// the backward pass then computes it again.
    pub(crate) log_sum_exp: Option<FloatTensor<B>>,
}

impl<B: Backend> Saved<B> {
    /// The composed forward pass, which saves only its output.
    pub(crate) fn composed(
        query: FloatTensor<B>,
        key: FloatTensor<B>,
        value: FloatTensor<B>,
        config: &AttentionConfig,
    ) -> Self {
        let output = composed::attention::<B>(Float(query), Float(key), Float(value), config);
        Self {
            output: output.0,
            log_sum_exp: None,
        }
    }
}

/// The implementations of the operations; the default ones are composed of Burn's operations.
pub(crate) trait Kernels: Backend {
    fn attention_forward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        config: &AttentionConfig,
    ) -> Saved<Self> {
        Saved::composed(query, key, value, config)
    }

    fn attention_backward(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        _saved: Saved<Self>,
        grad: FloatTensor<Self>,
        config: &AttentionConfig,
    ) -> [FloatTensor<Self>; 3] {
        let (query, key, value) = (Float::<Self>(query), Float(key), Float(value));
        composed::attention_backward(query, key, value, Float(grad), config)
            .map(|gradient| gradient.0)
    }

    /// Losses, and the log-sum-exp of each row's logits, `[rows]`, if the implementation computes it.
    fn linear_nll_forward(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let nll = composed::linear_nll::<Self>(Float(hidden), Float(weight), targets, softcap);
        (nll.0, None)
    }

    /// Gradients of the hidden states and, if `needs_weight`, of the weight.
    fn linear_nll_backward(
        [hidden, weight]: [FloatTensor<Self>; 2],
        targets: IntTensor<Self>,
        softcap: Option<f64>,
        _log_sum_exp: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        needs_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let inputs = [Float::<Self>(hidden), Float(weight)];
        let (d_hidden, d_weight) =
            composed::linear_nll_backward(inputs, targets, softcap, Float(grad), needs_weight);
        (d_hidden.0, d_weight.map(|gradient| gradient.0))
    }

    fn rms_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        composed::rms_norm::<Self>(Float(x), Float(weight), epsilon).0
    }

    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        composed::rms_norm_backward::<Self>(Float(x), Float(weight), epsilon, Float(grad))
            .map(|gradient| gradient.0)
    }

    fn rotate_forward(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        pairs: Pairs,
    ) -> FloatTensor<Self> {
        composed::rotate::<Self>(Float(x), Float(cos), Float(sin), pairs).0
    }

    fn swiglu_forward(gate: FloatTensor<Self>, up: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::swiglu::<Self>(Float(gate), Float(up)).0
    }

    fn swiglu_backward(
        gate: FloatTensor<Self>,
        up: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> [FloatTensor<Self>; 2] {
        composed::swiglu_backward::<Self>(Float(gate), Float(up), Float(grad))
            .map(|gradient| gradient.0)
    }
}

#[cfg(feature = "ndarray")]
impl Kernels for burn::backend::NdArray {}
