//! The feed-forward part of a layer: one MLP, or experts.

use burn::module::Module;
use burn::tensor::Tensor;

use super::experts::Mixture;
use super::mlp::Mlp;

/// What follows the attention in a layer.
#[derive(Module, Debug)]
#[expect(clippy::large_enum_variant, reason = "one per layer")]
pub(crate) enum FeedForward {
    /// One MLP for all tokens.
    Dense(Mlp),
    /// Experts, of which each token uses a few.
    Sparse(Mixture),
}

impl FeedForward {
    /// # Shapes
    /// - `x`, output: `[batch, seq, hidden]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self {
            Self::Dense(mlp) => mlp.forward(x),
            Self::Sparse(mixture) => mixture.forward(x),
        }
    }
}
