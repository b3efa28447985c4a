//! The feed-forward part of a layer.

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use longrope_kernels::swiglu;
use longrope_rope::Activation;

use super::linear::Linear;

/// `down(f(gate(x)) · up(x))`, or `down(f(up(x)))`, with the activation `f`.
#[derive(Module, Debug)]
pub(crate) struct Mlp {
    pub(crate) gate_up: GateUp,
    pub(crate) down_proj: Linear,
    #[module(skip)]
    pub(crate) activation: Activation,
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
    /// No gate.
    Up(Linear),
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
            GateUp::Up(map) => {
                let inner = activate(map.forward(x), self.activation);
                return self.down_proj.forward(inner);
            }
        };
        self.down_proj.forward(gated(gate, up, self.activation))
    }
}

/// `f(gate) · up`.
pub(crate) fn gated(gate: Tensor<3>, up: Tensor<3>, f: Activation) -> Tensor<3> {
    match f {
        Activation::Silu => swiglu(gate, up),
        _ => activate(gate, f) * up,
    }
}

fn activate(x: Tensor<3>, f: Activation) -> Tensor<3> {
    match f {
        Activation::Silu => activation::silu(x),
        Activation::Gelu => activation::gelu(x),
        Activation::GeluTanh => gelu_tanh(x),
        Activation::ReluSquared => activation::relu(x).square(),
    }
}

/// See [`Activation::GeluTanh`]. Burn's function computes the cube as a general power, which is slow.
fn gelu_tanh(x: Tensor<3>) -> Tensor<3> {
    const SQRT_2_OVER_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI * std::f64::consts::FRAC_1_SQRT_2;
    let cubic = (x.clone().square() * 0.044_715 + 1.0) * x.clone();
    let share = (cubic * SQRT_2_OVER_PI).tanh() + 1.0;
    x * share * 0.5
}
