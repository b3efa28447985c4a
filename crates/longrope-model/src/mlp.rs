//! The gated feed-forward part of a layer.

use burn::module::Module;
use burn::tensor::Tensor;
use longrope_kernels::swiglu;

use crate::linear::Linear;

/// `down(silu(gate(x)) · up(x))`.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) gate_up: GateUp,
    pub(crate) down_proj: Linear,
}

/// The projections to gate and up: two matrices, or one.
#[derive(Module, Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one per layer, all with the same variant"
)]
pub(crate) enum GateUp {
    /// Separate matrices.
    Split(SplitGateUp),
    /// One matrix: rows of the gate, then of up.
    Fused(Linear),
}

/// Gate and up as two matrices.
#[derive(Module, Debug)]
pub(crate) struct SplitGateUp {
    pub(crate) gate_proj: Linear,
    pub(crate) up_proj: Linear,
}

impl Mlp {
    /// # Shapes
    /// - `x`, output: `[batch, seq, hidden]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (gate, up) = match &self.gate_up {
            GateUp::Split(maps) => (maps.gate_proj.forward(x.clone()), maps.up_proj.forward(x)),
            GateUp::Fused(map) => {
                let [rows, _] = map.weight.dims();
                let gate = map.forward_rows(x.clone(), 0..rows / 2);
                (gate, map.forward_rows(x, rows / 2..rows))
            }
        };
        self.down_proj.forward(swiglu(gate, up))
    }
}
