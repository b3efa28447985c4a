//! GPUs: the composed implementations, in larger blocks.
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
use burn::tensor::DType;

use super::kernels::Kernels;
use crate::composed::wide;

/// Most bytes of a block of scores in the composed implementations: large enough that keys, values and their gradients are a
/// small part of the traffic, and that products keep a GPU busy.
const BLOCK_BYTES: usize = 256 << 20;

impl Kernels for Cube {
    fn chunk_bytes(device: &Self::Device) -> usize {
        let largest = device.client().properties().memory.max_page_size;
        usize::try_from(largest).map_or(BLOCK_BYTES, |largest| largest.min(BLOCK_BYTES))
    }

    /// Matrix units are faster in `bf16`, and the scores are most of the traffic. Small gradients vanish in `f16`.
    fn attention_products(dtype: DType) -> DType {
        match dtype {
            DType::BF16 => DType::BF16,
            dtype => wide(dtype),
        }
    }
}
