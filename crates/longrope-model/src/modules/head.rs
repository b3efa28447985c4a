//! The output head: from hidden states to logits and losses.

use burn::tensor::{Int, Tensor};
use longrope_kernels::{linear, linear_nll};

/// `logits = cap(x · weightᵀ + bias)`, where `cap` is the soft cap, if there is one.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    /// `[vocab, hidden]`
    pub(crate) weight: Tensor<2>,
    /// `[vocab]`
    pub(crate) bias: Option<Tensor<1>>,
    pub(crate) softcap: Option<f64>,
}

impl Head {
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`
    /// - output: `[rows, vocab]`
    pub(crate) fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        let logits = linear(hidden, self.weight.clone());
        let logits = match &self.bias {
            Some(bias) => logits + bias.clone().unsqueeze(),
            None => logits,
        };
        match self.softcap {
            Some(cap) => (logits / cap).tanh() * cap,
            None => logits,
        }
    }

    /// The loss of each row.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`
    /// - `targets`, output: `[rows]`
    pub(crate) fn nll(&self, hidden: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
        let Some(bias) = &self.bias else {
            return linear_nll(hidden, self.weight.clone(), targets, self.softcap);
        };
        // The bias is the weight of one more input that is always 1.
        let [rows, _] = hidden.dims();
        let one = Tensor::ones([rows, 1], (&hidden.device(), hidden.dtype()));
        let hidden = Tensor::cat(vec![hidden, one], 1);
        let weight = self.weight.clone().cast(hidden.dtype());
        let weight = Tensor::cat(vec![weight, bias.clone().unsqueeze_dim(1)], 1);
        linear_nll(hidden, weight, targets, self.softcap)
    }
}
