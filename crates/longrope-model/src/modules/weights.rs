//! The parameters of a whole model, as Burn modules.

use burn::module::{Module, Param};
use burn::tensor::{DType, Int, Tensor};

use super::block::DecoderLayer;
use super::head::Head;
use super::linear::Linear;
use super::norm::Norm;

/// All parameters of a decoder.
#[derive(Module, Debug)]
pub(crate) struct Weights {
    pub(crate) model: Model,
    /// `None` if the embedding matrix is also the output head.
    pub(crate) lm_head: Option<Linear>,
    /// The bias of a head whose matrix is that of the embeddings, if it has one.
    pub(crate) tied_bias: Option<Param<Tensor<1>>>,
    /// Soft cap on the logits.
    pub(crate) logit_softcap: Option<f64>,
}

/// Everything below the output head.
#[derive(Module, Debug)]
pub(crate) struct Model {
    pub(crate) embed_tokens: Embedding,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) norm: Norm,
    /// Factor of the logits, before their soft cap.
    pub(crate) logit_scale: f64,
}

/// One vector per token of the vocabulary, `weight: [vocab, hidden]`.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    pub(crate) weight: Param<Tensor<2>>,
    /// Factor of the vectors.
    pub(crate) scale: f64,
}

impl Embedding {
    /// The scaled vectors of tokens, as `dtype`: `[batch, seq]` to `[batch, seq, hidden]`.
    fn forward(&self, tokens: Tensor<2, Int>, dtype: DType) -> Tensor<3> {
        let [batch, seq] = tokens.dims();
        let table = self.weight.val();
        let [_, hidden] = table.dims();
        let vectors = table.select(0, tokens.reshape([batch * seq])).cast(dtype);
        scaled(vectors.reshape([batch, seq, hidden]), self.scale)
    }
}

impl Model {
    /// The type of activations.
    pub(crate) fn dtype(&self) -> DType {
        self.norm.weight.val().dtype()
    }

    /// The input of the first layer: `[batch, seq]` to `[batch, seq, hidden]`.
    pub(crate) fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.embed_tokens.forward(tokens, self.dtype())
    }

    /// The input of the head: normalized and scaled hidden states, `[batch, seq, hidden]`.
    pub(crate) fn last(&self, hidden: Tensor<3>) -> Tensor<3> {
        scaled(self.norm.forward(hidden), self.logit_scale)
    }
}

#[expect(clippy::float_cmp, reason = "exactly 1 where a family has no factor")]
fn scaled(x: Tensor<3>, factor: f64) -> Tensor<3> {
    if factor == 1.0 { x } else { x * factor }
}

impl Weights {
    /// The output head.
    pub(crate) fn head(&self) -> Head {
        let (weight, bias) = match &self.lm_head {
            Some(own) => (&own.weight, &own.bias),
            None => (&self.model.embed_tokens.weight, &self.tied_bias),
        };
        Head {
            weight: weight.val(),
            bias: bias.as_ref().map(Param::val),
            softcap: self.logit_softcap,
        }
    }

    /// The same parameters without the layers; tensors are shared, not copied.
    pub(crate) fn without_layers(&self) -> Self {
        Self {
            model: Model {
                embed_tokens: self.model.embed_tokens.clone(),
                layers: Vec::new(),
                norm: self.model.norm.clone(),
                logit_scale: self.model.logit_scale,
            },
            lm_head: self.lm_head.clone(),
            tied_bias: self.tied_bias.clone(),
            logit_softcap: self.logit_softcap,
        }
    }
}
