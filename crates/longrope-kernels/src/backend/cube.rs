//! GPUs: the composed implementations in larger blocks, with kernels of our own ([`cube`](crate::cube)) where Burn's operations
//! pass over memory more often than needed.
//!
//! Gated activation, and the sums of residuals, are left to Burn's fusion, which makes one kernel of each.
//!
//! Burn's own attention is not used. On CUDA it chooses between CubeK's flash attention and an implementation that allocates all
//! scores. The former (CubeK 0.3.1) has these limits:
//!
//! - It multiplies in `f16` and refuses queries of any other type. Burn then silently takes the other implementation.
//! - If there are at least four times as many keys as queries, or the other way round, it finds no tile for the matrix units. If
//!   Burn chose it for a similar shape before, its worker thread panics, and the program waits forever.
//! - It supports neither windows nor documents, soft caps or sinks, and does not return the log-sum-exp.
//! - 2,048 tokens of 32 heads of width 128 took 2.4 ms on an H200, as long as the implementation that allocates all scores.

use burn::backend::Cube;
use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::tensor::DType;

use super::kernels::Kernels;
use crate::composed::attention::gradients::RowResults;
use crate::composed::attention::softmax::{Softmax, Weighed};
use crate::composed::attention::view::View;
use crate::composed::steps::Steps;
use crate::composed::{Float, wide};
use crate::cube;
use crate::pairs::Pairs;

/// Most bytes of a block of scores in the composed implementations: large enough that keys, values and their gradients are a
/// small part of the traffic, and that products keep a GPU busy.
const BLOCK_BYTES: usize = 256 << 20;

impl Steps for Cube {
    fn product(x: Float<Self>, y: Float<Self>) -> Float<Self> {
        Float(cube::product(x.0, y.0))
    }

    fn weights(
        scores: Float<Self>,
        before: Option<Softmax<Self>>,
        view: &View<Self>,
        dtype: DType,
    ) -> Weighed<Self> {
        cube::weights(scores.0, before, view, dtype)
    }

    fn gradients_of_scores(
        scores: Float<Self>,
        d_weights: Float<Self>,
        of_rows: RowResults<Self>,
        view: &View<Self>,
        dtype: DType,
    ) -> [Float<Self>; 2] {
        cube::gradients_of_scores(scores.0, d_weights.0, of_rows, view, dtype).map(Float)
    }

    fn losses(
        logits: Float<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
    ) -> [Float<Self>; 2] {
        cube::losses(logits.0, targets, softcap).map(Float)
    }

    fn gradients_of_logits(
        logits: Float<Self>,
        targets: IntTensor<Self>,
        softcap: Option<f64>,
        of_rows: [Float<Self>; 2],
        dtype: DType,
    ) -> Float<Self> {
        let of_rows = of_rows.map(|numbers| numbers.0);
        Float(cube::gradients_of_logits(
            logits.0, targets, softcap, of_rows, dtype,
        ))
    }
}

impl Kernels for Cube {
    fn chunk_bytes(device: &Self::Device) -> usize {
        let largest = device.client().properties().memory.max_page_size;
        usize::try_from(largest).map_or(BLOCK_BYTES, |largest| largest.min(BLOCK_BYTES))
    }

    /// Matrix units are faster in `bf16`, and the scores are most of the traffic. Small gradients vanish in `f16`.
    fn products_of_gradients(dtype: DType) -> DType {
        match dtype {
            DType::BF16 => DType::BF16,
            dtype => wide(dtype),
        }
    }

    fn rms_norm_forward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        cube::rms_norm(x, weight, epsilon)
    }

    fn rms_norm_backward(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        epsilon: f64,
        grad: FloatTensor<Self>,
        needs_weight: bool,
    ) -> (FloatTensor<Self>, Option<FloatTensor<Self>>) {
        cube::rms_norm_backward([x, weight, grad], epsilon, needs_weight)
    }

    fn rotate_forward(
        x: FloatTensor<Self>,
        cos: FloatTensor<Self>,
        sin: FloatTensor<Self>,
        pairs: Pairs,
    ) -> FloatTensor<Self> {
        cube::rotate(x, cos, sin, pairs)
    }
}
