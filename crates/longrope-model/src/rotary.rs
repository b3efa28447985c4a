//! The rotation angles of a sequence, on the device.

use burn::tensor::{DType, Device, Tensor, TensorData};
use longrope_kernels::rotate_half;
use longrope_rope::ResolvedRope;

/// Cosines and sines of positions `0..n_positions` for one resolved RoPE.
///
/// Computed on the host in `f64` and uploaded once. All layers share the table, and so can all sequences with the same
/// resolved RoPE. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Rotary {
    cos: Tensor<2>,
    sin: Tensor<2>,
    n_positions: usize,
}

impl Rotary {
    /// Computes the table and uploads it.
    pub fn new(rope: &ResolvedRope, n_positions: usize, device: &Device) -> Self {
        let angles = rope.angles(0..n_positions);
        let shape = [angles.n_positions, angles.n_pairs];
        let upload = |values: Vec<f32>| {
            Tensor::from_data(TensorData::new(values, shape), (device, DType::F32))
        };
        Self {
            cos: upload(angles.cos),
            sin: upload(angles.sin),
            n_positions,
        }
    }

    /// Number of positions in the table.
    pub fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// Rotates heads; their first row is at position `start`.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, heads, seq, head_dim]`
    pub(crate) fn apply(&self, x: Tensor<4>, start: usize) -> Tensor<4> {
        let [_, _, seq, _] = x.dims();
        let cos = self.cos.clone().narrow(0, start, seq);
        let sin = self.sin.clone().narrow(0, start, seq);
        if x.dtype() == DType::F64 {
            return rotate_half(x, cos.cast(DType::F64), sin.cast(DType::F64));
        }
        rotate_half(x, cos, sin)
    }
}
