//! Normalization of the residual stream, of queries and of keys.

use burn::module::{Module, Param};
use burn::tensor::{DType, Tensor};
use longrope_kernels::rms_norm;
use longrope_rope::NormKind;

/// A normalization over the last dimension.
#[derive(Module, Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Param<Tensor<1>>,
    pub(crate) bias: Option<Param<Tensor<1>>>,
    pub(crate) epsilon: f64,
    #[module(skip)]
    pub(crate) kind: NormKind,
    /// Full name in a checkpoint.
    #[module(skip)]
    pub(crate) name: String,
}

impl Norm {
    /// # Shapes
    /// - `x`, output: `[batch, seq, width]`
    pub(crate) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        match self.kind {
            NormKind::Rms => rms_norm(x, self.weight.val(), self.epsilon),
            NormKind::RmsPlusOne => rms_norm(x, self.weight.val() + 1.0, self.epsilon),
            NormKind::Layer { .. } => {
                let bias = self.bias.as_ref().map(Param::val);
                layer_norm(x, self.weight.val(), bias, self.epsilon)
            }
        }
    }

    /// Normalizes heads of the width of the weight, each by itself.
    ///
    /// # Shapes
    /// - `x`, output: `[batch, seq, heads · width]`
    pub(crate) fn forward_heads(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, all] = x.dims();
        let [width] = self.weight.dims();
        let heads = x.reshape([batch * seq, all / width, width]);
        self.forward(heads).reshape([batch, seq, all])
    }
}

/// `(x - mean) / sqrt(variance + epsilon) · weight + bias` over the last dimension, computed in `f32` or wider.
fn layer_norm(x: Tensor<3>, weight: Tensor<1>, bias: Option<Tensor<1>>, epsilon: f64) -> Tensor<3> {
    let dtype = x.dtype();
    let wide = match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    };
    let x = x.cast(wide);
    let centered = x.clone() - x.mean_dim(2);
    let variance = centered.clone().square().mean_dim(2);
    let normal = centered / (variance + epsilon).sqrt();
    let scaled = normal * weight.cast(wide).unsqueeze();
    let shifted = match bias {
        Some(bias) => scaled + bias.cast(wide).unsqueeze(),
        None => scaled,
    };
    shifted.cast(dtype)
}
