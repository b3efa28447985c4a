//! The parameters of a whole model, as Burn modules.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::block::DecoderLayer;
use crate::linear::Linear;
use crate::norm::RmsNorm;

/// All parameters of a decoder.
#[derive(Module, Debug)]
pub(crate) struct Weights {
    pub(crate) model: Model,
    /// `None` if the embedding matrix is also the output head.
    pub(crate) lm_head: Option<Linear>,
}

/// Everything below the output head.
#[derive(Module, Debug)]
pub(crate) struct Model {
    pub(crate) embed_tokens: Embedding,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) norm: RmsNorm,
}

/// One vector per token of the vocabulary, `weight: [vocab, hidden]`.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    pub(crate) weight: Param<Tensor<2>>,
}

impl Weights {
    /// The matrix that maps hidden states to logits, `[vocab, hidden]`.
    pub(crate) fn output_weight(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        }
    }

    /// The same parameters without the layers; tensors are shared, not copied.
    pub(crate) fn without_layers(&self) -> Self {
        Self {
            model: Model {
                embed_tokens: self.model.embed_tokens.clone(),
                layers: Vec::new(),
                norm: self.model.norm.clone(),
            },
            lm_head: self.lm_head.clone(),
        }
    }
}
