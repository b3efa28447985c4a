//! The gated feed-forward part of a layer.

use burn::module::Module;
use burn::tensor::Tensor;
use longrope_kernels::swiglu;

use crate::linear::Linear;

/// `down(silu(gate(x)) · up(x))`.
#[derive(Module, Debug)]
#[expect(
    clippy::struct_field_names,
    reason = "the names are those of the checkpoint"
)]
pub(crate) struct Mlp {
    pub(crate) gate_proj: Linear,
    pub(crate) up_proj: Linear,
    pub(crate) down_proj: Linear,
}

impl Mlp {
    /// # Shapes
    /// - `x`, output: `[batch, seq, hidden]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let gate = self.gate_proj.forward(x.clone());
        let up = self.up_proj.forward(x);
        self.down_proj.forward(swiglu(gate, up))
    }
}
