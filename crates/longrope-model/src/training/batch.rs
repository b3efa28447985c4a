//! The sequences of a training step, on the host and on the device.

use burn::tensor::{DType, Int, Tensor, TensorData};
use longrope_kernels::Documents;

use crate::decoder::Decoder;

/// Sequences of equal length to train on.
#[derive(Clone, Debug, Default)]
pub struct TrainingBatch {
    /// Token ids, `[batch][seq]`.
    pub tokens: Vec<Vec<u32>>,
    /// Weight of the loss of each token, `[batch][seq]`; if empty, all weights are 1. The first token of a sequence is
    /// not predicted, so its weight is ignored.
    pub loss_weights: Vec<Vec<f32>>,
    /// Packed documents that do not attend to each other; `None` if each sequence is one document.
    ///
    /// The rotary says at which positions they are. With rotary embeddings, attention depends only on distances, unless the
    /// RoPE treats the first tokens of a sequence differently, or queries grow with their position: then the positions of
    /// each document begin at 0.
    pub documents: Option<Documents>,
}

/// A batch on the device.
pub(super) struct Input {
    /// `[batch, seq]`
    pub(super) tokens: Tensor<2, Int>,
    /// `[batch · seq]`; the last target of each sequence is a placeholder.
    pub(super) targets: Tensor<1, Int>,
    /// `[batch · seq]`, in the type of the model.
    pub(super) weights: Tensor<1>,
    pub(super) host_weights: Vec<f32>,
}

impl Input {
    pub(super) fn new(batch: &TrainingBatch, seq: usize, decoder: &Decoder) -> Self {
        let n = batch.tokens.len();
        let device = decoder.device();
        let ids = |ids: Vec<i64>| TensorData::new(ids, [n, seq]);
        let tokens: Vec<i64> = batch
            .tokens
            .iter()
            .flatten()
            .map(|id| i64::from(*id))
            .collect();
        let shifted = batch.tokens.iter().flat_map(|sequence| {
            let targets = sequence[1..].iter().map(|id| i64::from(*id));
            targets.chain([0])
        });
        let host_weights: Vec<f32> = (0..n)
            .flat_map(|row| {
                let weight = move |t: usize| batch.loss_weights.get(row).map_or(1.0, |w| w[t]);
                (1..seq).map(weight).chain([0.0])
            })
            .collect();
        // Losses are `f32`, or `f64` if the weights are.
        let dtype = match decoder.dtype() {
            DType::F64 => DType::F64,
            _ => DType::F32,
        };
        Self {
            targets: Tensor::<2, Int>::from_data(ids(shifted.collect()), device).reshape([n * seq]),
            tokens: Tensor::from_data(ids(tokens), device),
            weights: Tensor::from_data(
                TensorData::new(host_weights.clone(), [n * seq]),
                (device, dtype),
            ),
            host_weights,
        }
    }
}
