//! The implementations of the operations on one backend, forward and backward.

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata};
use burn::tensor::DType;

use crate::attention::config::AttentionConfig;
use crate::composed::steps::Steps;
use crate::composed::{self, CHUNK_BYTES, Float, Products, wide};
use crate::pairs::Pairs;

/// What the forward pass of attention saves for the backward pass, besides the inputs.
#[derive(Clone, Debug)]
pub(crate) struct Saved<B: Backend> {
    /// The output of the forward pass.
    pub(crate) output: FloatTensor<B>,
    /// Log-sum-exp of each query's scores and its sink, `[batch, n_heads, seq_q]`, natural for the composed passes. `None` if the
    /// forward pass does not compute it; the backward pass then computes it again.
    pub(crate) log_sum_exp: Option<FloatTensor<B>>,
}

impl<B: Kernels> Saved<B> {
    /// The composed forward pass.
    pub(crate) fn composed(
        inputs: [FloatTensor<B>; 3],
        sinks: Option<FloatTensor<B>>,
        config: &AttentionConfig,
    ) -> Self {
        let block_bytes = B::chunk_bytes(&inputs[0].device());
        let (inputs, sinks) = (inputs.map(Float::<B>), sinks.map(Float));
        let (output, log_sum_exp) = composed::attention(inputs, sinks, config, block_bytes);
        Self {
            output: output.0,
            log_sum_exp: Some(log_sum_exp.0),
        }
    }
}

/// Gradients of the queries, keys and values of attention, and of its sinks if there are any.
pub(crate) type AttentionGradients<B> = ([FloatTensor<B>; 3], Option<FloatTensor<B>>);

/// The backward pass that is composed of Burn's operations.
pub(crate) fn composed_attention_backward<B: Kernels>(
    inputs: [FloatTensor<B>; 3],
    sinks: Option<FloatTensor<B>>,
    saved: Saved<B>,
    grad: FloatTensor<B>,
    config: &AttentionConfig,
) -> AttentionGradients<B> {
    let block_bytes = B::chunk_bytes(&grad.device());
    let (inputs, sinks) = (inputs.map(Float::<B>), sinks.map(Float));
    let log_sum_exp = saved.log_sum_exp.map_or_else(
        || {
            let [query, key, _] = inputs.clone();
            composed::log_sum_exp([query, key], sinks.clone(), config, block_bytes)
        },
        Float,
    );
    let products = Products {
        block_bytes,
        dtype: B::products_of_gradients(grad.dtype()),
    };
    let outputs = [Float(saved.output), log_sum_exp, Float(grad)];
    let (gradients, d_sinks) =
        composed::attention_backward(inputs, sinks, outputs, config, products);
    (gradients.map(|it| it.0), d_sinks.map(|it| it.0))
}

/// Losses and the log-sum-exp of each row's logits, composed of Burn's operations.
pub(crate) fn composed_linear_nll<B: Kernels>(
    [hidden, weight]: [FloatTensor<B>; 2],
    targets: IntTensor<B>,
    softcap: Option<f64>,
) -> [FloatTensor<B>; 2] {
    let chunk_bytes = B::chunk_bytes(&hidden.device());
    let (hidden, weight) = (Float::<B>(hidden), Float(weight));
    composed::linear_nll(hidden, weight, targets, softcap, chunk_bytes).map(|it| it.0)
}

/// The gradients of [`composed_linear_nll`].
pub(crate) fn composed_linear_nll_backward<B: Kernels>(
    inputs: [FloatTensor<B>; 2],
    targets: IntTensor<B>,
    softcap: Option<f64>,
    log_sum_exp: Option<FloatTensor<B>>,
    grad: FloatTensor<B>,
    needs_weight: bool,
) -> (FloatTensor<B>, Option<FloatTensor<B>>) {
    let log_sum_exp = log_sum_exp.unwrap_or_else(|| {
        let [_, sums] = composed_linear_nll::<B>(inputs.clone(), targets.clone(), softcap);
        sums
    });
    let products = Products {
        block_bytes: B::chunk_bytes(&grad.device()),
        dtype: B::products_of_gradients(inputs[0].dtype()),
    };
    let (d_hidden, d_weight) = composed::linear_nll_backward(
        inputs.map(Float::<B>),
        targets,
        softcap,
        [log_sum_exp, grad].map(Float),
        needs_weight,
        products,
    );
    (d_hidden.0, d_weight.map(|gradient| gradient.0))
}

/// The implementations of the operations; the default ones are composed of Burn's operations.
pub(crate) trait Kernels: Steps {
    /// Bytes that the scores of one block, or the logits of one chunk, may take in the composed implementations.
    fn chunk_bytes(_device: &Self::Device) -> usize {
        CHUNK_BYTES
    }

    /// Type of the operands of the products that give the gradients in the composed attention and loss, for inputs of type
    /// `dtype`.
    fn products_of_gradients(dtype: DType) -> DType {
        wide(dtype)
    }

    /// Attention of queries, keys and values, with sinks or without.
    fn attention_forward(
        inputs: [FloatTensor<Self>; 3],
        sinks: Option<FloatTensor<Self>>,
        config: &AttentionConfig,
    ) -> Saved<Self> {
        Saved::composed(inputs, sinks, config)
    }

    /// Attention without sinks, and the natural log-sum-exp of each query's scores, `[batch, n_heads, seq_q]`, in the type
    /// that sums are computed in.
    fn attention_log_sum_exp(
        inputs: [FloatTensor<Self>; 3],
        config: &AttentionConfig,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let block_bytes = Self::chunk_bytes(&inputs[0].device());
        let inputs = inputs.map(Float::<Self>);
        let (output, sums) = composed::attention(inputs, None, config, block_bytes);
        (output.0, sums.0)
    }

    fn attention_backward(
        inputs: [FloatTensor<Self>; 3],
        sinks: Option<FloatTensor<Self>>,
        saved: Saved<Self>,
        grad: FloatTensor<Self>,
        config: &AttentionConfig,
    ) -> AttentionGradients<Self> {
        composed_attention_backward(inputs, sinks, saved, grad, config)
    }

    /// `x · weightᵀ`. The weight may have another type than `x`.
    fn linear_forward(x: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::linear::<Self>(Float(x), Float(weight)).0
    }

    /// The gradient of `x`.
    fn linear_backward(weight: FloatTensor<Self>, grad: FloatTensor<Self>) -> FloatTensor<Self> {
        composed::linear_backward::<Self>(Float(weight), Float(grad)).0
    }

    /// The gradient of a weight of the type of `x`.
    fn linear_backward_of_weight(
        x: FloatTensor<Self>,
        grad: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        composed::linear_backward_of_weight::<Self>(Float(x), Float(grad)).0
    }

    /// Losses, and the log-sum-exp of each row's logits, `[rows]`, if the implementation computes it.
    fn linear_nll_forward(
        hidden: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let [nll, log_sum_exp] = composed_linear_nll::<Self>([hidden, weight], targets, softcap);
        (nll, Some(log_sum_exp))
    }

    /// Gradients of the hidden states and, if `needs_weight`, of the weight.
    fn linear_nll_backward(
        inputs: [FloatTensor<Self>; 2],
        targets: IntTensor<Self>,
        softcap: Option<f64>,
        log_sum_exp: Option<FloatTensor<Self>>,
        grad: FloatTensor<Self>,
        needs_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        composed_linear_nll_backward::<Self>(
            inputs,
            targets,
            softcap,
            log_sum_exp,
            grad,
            needs_weight,
        )
    }

    fn rms_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        composed::rms_norm::<Self>(Float(x), Float(weight), epsilon).0
    }

    /// Gradients of `x` and, if `needs_weight`, of the weight.
    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
        grad: FloatTensor<Self>,
        needs_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        let [x, weight, grad] = [x, weight, grad].map(Float::<Self>);
        let (d_x, d_weight) = composed::rms_norm_backward(x, weight, epsilon, grad, needs_weight);
        (d_x.0, d_weight.map(|gradient| gradient.0))
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
impl Steps for burn::backend::NdArray {}

#[cfg(feature = "ndarray")]
impl Kernels for burn::backend::NdArray {}
