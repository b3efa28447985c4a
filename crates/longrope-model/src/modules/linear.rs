//! Linear maps with the weight layout of Hugging Face checkpoints.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::Tensor;
use longrope_kernels::linear;

/// `y = x · weightᵀ + bias` with `weight: [out, in]`, plus a low-rank correction if there is an adapter.
#[derive(Module, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: Param<Tensor<2>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
    pub(crate) adapter: Option<LowRank>,
    /// Full name in a checkpoint.
    #[module(skip)]
    pub(crate) name: String,
}

impl Linear {
    /// # Shapes
    /// - `x`: `[batch, seq, in]`
    /// - output: `[batch, seq, out]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [out, _] = self.weight.dims();
        self.forward_rows(x, 0..out)
    }

    /// Computes only the outputs in `rows`, which are one part of a fused projection.
    ///
    /// # Shapes
    /// - `x`: `[batch, seq, in]`
    /// - output: `[batch, seq, rows]`
    pub(crate) fn forward_rows(&self, x: Tensor<3>, rows: Range<usize>) -> Tensor<3> {
        let [batch, seq, width] = x.dims();
        let n_rows = rows.len();
        let weight = self.weight.val().narrow(0, rows.start, n_rows);
        // One matrix product over all rows. A batched product would repeat the weight.
        let x = x.reshape([batch * seq, width]);
        let correction = self.adapter.as_ref();
        let correction =
            correction.map(|adapter| adapter.forward_rows(x.clone(), rows.start, n_rows));
        let y = linear(x, weight); // [b·t, rows]
        let y = match &self.bias {
            Some(bias) => y + bias.val().narrow(0, rows.start, n_rows).unsqueeze(),
            None => y,
        };
        let y = match correction {
            Some(correction) => y + correction,
            None => y,
        };
        y.reshape([batch, seq, n_rows])
    }
}

/// The correction of one linear map.
#[derive(Module, Debug)]
pub(crate) struct LowRank {
    /// `[rank, in]`
    pub(crate) a: Param<Tensor<2>>,
    /// `[out, rank]`
    pub(crate) b: Param<Tensor<2>>,
    pub(crate) scale: f64,
}

impl LowRank {
    /// # Shapes
    /// - `x`: `[rows, in]`
    /// - output: `[rows, n]`, the outputs `first..first + n`
    pub(crate) fn forward_rows(&self, x: Tensor<2>, first: usize, n: usize) -> Tensor<2> {
        let up = self.b.val().narrow(0, first, n);
        linear(linear(x, self.a.val()), up) * self.scale
    }
}
