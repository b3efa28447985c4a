//! Experts whose matrices are stacked in the file; see [`ExpertKind::Stacked`](longrope_rope::ExpertKind::Stacked).

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation};
use longrope_kernels::linear;

/// The experts of a layer. Each has tensors of its own, so that gradients only concern experts that were used.
#[derive(Module, Debug)]
pub(crate) struct Stacked {
    pub(crate) experts: Vec<StackedExpert>,
    pub(crate) alpha: f64,
    pub(crate) limit: f64,
    /// Full name of the matrices to gate and up in a checkpoint.
    #[module(skip)]
    pub(crate) gate_up: String,
    /// Full name of the other matrices.
    #[module(skip)]
    pub(crate) down: String,
}

/// One expert, `y = x · weight + bias` in both steps.
#[derive(Module, Debug)]
pub(crate) struct StackedExpert {
    /// `[hidden, 2 · inner]`; columns of gate and up alternate.
    pub(crate) gate_up: Param<Tensor<2>>,
    /// `[2 · inner]`
    pub(crate) gate_up_bias: Param<Tensor<1>>,
    /// `[inner, hidden]`
    pub(crate) down: Param<Tensor<2>>,
    /// `[hidden]`
    pub(crate) down_bias: Param<Tensor<1>>,
}

impl Stacked {
    /// Runs one expert.
    ///
    /// # Shapes
    /// - `x`, output: `[rows, hidden]`
    pub(super) fn forward(&self, expert: usize, x: Tensor<2>) -> Tensor<2> {
        let expert = &self.experts[expert];
        let gate_up =
            linear(x, expert.gate_up.val().transpose()) + expert.gate_up_bias.val().unsqueeze();
        let [rows, both] = gate_up.dims();
        let inner = both / 2;
        let pairs = gate_up.reshape([rows, inner, 2]);
        let part = |index| pairs.clone().narrow(2, index, 1).reshape([rows, inner]);
        let gate = part(0).clamp_max(self.limit);
        let up = part(1).clamp(-self.limit, self.limit);
        let gated = gate.clone() * activation::sigmoid(gate * self.alpha);
        let inner = (up + 1.0) * gated;
        linear(inner, expert.down.val().transpose()) + expert.down_bias.val().unsqueeze()
    }
}
