//! Root-mean-square normalization.

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use longrope_kernels::rms_norm;

/// Normalizes by the root mean square and multiplies by a weight per element.
#[derive(Module, Debug)]
pub(crate) struct RmsNorm {
    pub(crate) weight: Param<Tensor<1>>,
    pub(crate) epsilon: f64,
}

impl RmsNorm {
    /// # Shapes
    /// - `x`, output: `[batch, seq, hidden]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        rms_norm(x, self.weight.val(), self.epsilon)
    }
}
