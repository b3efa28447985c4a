//! Experts: MLPs of which each token uses a few.
//!
//! Scores go to the host, which chooses the experts of each token. Each expert that is needed then runs once, on its own
//! tokens. All sums have a fixed order, so the same input gives the same bits.

mod dispatch;
mod routing;
pub(crate) mod shapes;
mod stacked;

pub(crate) use stacked::{Stacked, StackedExpert};

use burn::module::Module;
use burn::tensor::{Tensor, activation};
use longrope_rope::Routing;

use self::dispatch::{Dispatch, indices};
use super::linear::Linear;
use super::mlp::Mlp;

/// The experts of a layer with their router: `y = Σ weight_e · expert_e(x)` over the chosen ones, plus the shared expert.
#[derive(Module, Debug)]
pub(crate) struct Mixture {
    pub(crate) router: Linear,
    pub(crate) experts: ExpertList,
    pub(crate) shared: Option<Shared>,
    pub(crate) per_token: usize,
    #[module(skip)]
    pub(crate) routing: Routing,
}

/// The experts.
#[derive(Module, Debug)]
pub(crate) enum ExpertList {
    /// MLPs with matrices of their own.
    Separate(Vec<Mlp>),
    /// MLPs whose matrices are stacked in the file.
    Stacked(Stacked),
}

/// An MLP that all tokens use, times `sigmoid(weight(x))`.
#[derive(Module, Debug)]
pub(crate) struct Shared {
    pub(crate) mlp: Mlp,
    pub(crate) weight: Linear,
}

impl Mixture {
    /// # Shapes
    /// - `x`, output: `[batch, seq, hidden]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, hidden] = x.dims();
        let (n_tokens, per_token) = (batch * seq, self.per_token);
        let scores = self.router.forward(x.clone());
        let [_, _, n_experts] = scores.dims();
        let scores = scores.reshape([n_tokens, n_experts]);
        let choice = routing::choose(scores, per_token, self.routing);

        let dispatch = Dispatch::new(&choice.experts, per_token, n_experts);
        let rows = x.clone().reshape([n_tokens, hidden]);
        let outputs = dispatch.groups.iter().map(|group| {
            let own = rows
                .clone()
                .select(0, indices(&group.tokens, &rows.device()));
            self.experts.forward(group.expert, own)
        });
        let outputs = Tensor::cat(outputs.collect(), 0); // [n·k, hidden], sorted by expert
        let by_token = indices(&dispatch.places, &outputs.device());
        let outputs = outputs.select(0, by_token);
        let weights = choice.weights.cast(x.dtype());
        let weighted = outputs.reshape([n_tokens, per_token, hidden])
            * weights.reshape([n_tokens, per_token, 1]);
        let sum = weighted.sum_dim(1).reshape([batch, seq, hidden]);
        match &self.shared {
            Some(shared) => sum + shared.forward(x),
            None => sum,
        }
    }
}

impl ExpertList {
    /// Runs one expert.
    ///
    /// # Shapes
    /// - `x`, output: `[rows, hidden]`
    fn forward(&self, expert: usize, x: Tensor<2>) -> Tensor<2> {
        match self {
            Self::Separate(experts) => {
                let [rows, hidden] = x.dims();
                let x = x.reshape([1, rows, hidden]);
                experts[expert].forward(x).reshape([rows, hidden])
            }
            Self::Stacked(stacked) => stacked.forward(expert, x),
        }
    }
}

impl Shared {
    /// # Shapes
    /// - `x`, output: `[batch, seq, hidden]`
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let weight = activation::sigmoid(self.weight.forward(x.clone())); // [batch, seq, 1]
        self.mlp.forward(x) * weight
    }
}
