//! A linear map stored as Hugging Face stores it.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

/// `y = x · weightᵀ + bias`, with `weight: [out, in]`.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Param<Tensor<2>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// # Shapes
    /// - `x`: `[batch, seq, in]`
    /// - output: `[batch, seq, out]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, width] = x.dims();
        // One matrix product over all rows: a batched one would repeat the weight.
        let rows = x.reshape([batch * seq, width]);
        let y = rows.matmul(self.weight.val().transpose()); // [b·t, out]
        let y = match &self.bias {
            Some(bias) => y + bias.val().unsqueeze(),
            None => y,
        };
        let [_, out] = y.dims();
        y.reshape([batch, seq, out])
    }
}
