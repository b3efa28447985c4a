//! How backward passes compute.

use burn::tensor::DType;

/// How a backward pass computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Products {
    /// Bytes that the scores of a block, or the logits of a chunk, may take in `f32`.
    pub(crate) block_bytes: usize,
    /// Type of the operands of the products that give the gradients. Their sums, scores, logits and softmax are computed in
    /// `f32` or wider in any case.
    pub(crate) dtype: DType,
}
