//! Building the modules of a decoder from named tensors.

use burn::module::Param;
use burn::tensor::Tensor;

use crate::attention::{Qkv, SelfAttention, SplitQkv};
use crate::block::DecoderLayer;
use crate::config::ModelConfig;
use crate::linear::Linear;
use crate::mlp::{GateUp, Mlp, SplitGateUp};
use crate::modules::{Embedding, Model, Weights};
use crate::norm::RmsNorm;

/// Where a builder gets its tensors: a checkpoint, or random numbers.
pub(crate) trait TensorSource {
    /// Why a tensor cannot be had.
    type Error;

    /// The tensor with this name, on the device and in the type of the decoder.
    fn tensor<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>, Self::Error>;
}

/// Builds modules whose sizes follow a [`ModelConfig`].
pub(crate) struct Builder<'a, S> {
    pub(crate) config: &'a ModelConfig,
    pub(crate) source: S,
}

impl<S: TensorSource> Builder<'_, S> {
    /// All weights, given the layers, which are empty for streamed models.
    pub(crate) fn weights(&mut self, layers: Vec<DecoderLayer>) -> Result<Weights, S::Error> {
        Ok(Weights {
            model: Model {
                embed_tokens: Embedding {
                    weight: self.parameter("model.embed_tokens.weight")?,
                },
                layers,
                norm: self.norm("model.norm")?,
            },
            lm_head: if self.config.tied_embeddings {
                None
            } else {
                Some(self.linear("lm_head", false)?)
            },
        })
    }

    /// One layer.
    pub(crate) fn layer(&mut self, layer_idx: usize) -> Result<DecoderLayer, S::Error> {
        let at = |name: &str| format!("model.layers.{layer_idx}.{name}");
        Ok(DecoderLayer {
            self_attn: self.attention(&at("self_attn"))?,
            mlp: self.mlp(&at("mlp"))?,
            input_layernorm: self.norm(&at("input_layernorm"))?,
            post_attention_layernorm: self.norm(&at("post_attention_layernorm"))?,
        })
    }

    fn attention(&mut self, prefix: &str) -> Result<SelfAttention, S::Error> {
        let config = self.config;
        let at = |name: &str| format!("{prefix}.{name}");
        Ok(SelfAttention {
            qkv: if config.fused_projections() {
                Qkv::Fused(self.linear(&at("qkv_proj"), config.qkv_bias)?)
            } else {
                Qkv::Split(SplitQkv {
                    q_proj: self.linear(&at("q_proj"), config.qkv_bias)?,
                    k_proj: self.linear(&at("k_proj"), config.qkv_bias)?,
                    v_proj: self.linear(&at("v_proj"), config.qkv_bias)?,
                })
            },
            o_proj: self.linear(&at("o_proj"), config.output_bias)?,
            head_dim: config.head_dim,
        })
    }

    fn mlp(&mut self, prefix: &str) -> Result<Mlp, S::Error> {
        let bias = self.config.mlp_bias;
        let at = |name: &str| format!("{prefix}.{name}");
        Ok(Mlp {
            gate_up: if self.config.fused_projections() {
                GateUp::Fused(self.linear(&at("gate_up_proj"), bias)?)
            } else {
                GateUp::Split(SplitGateUp {
                    gate_proj: self.linear(&at("gate_proj"), bias)?,
                    up_proj: self.linear(&at("up_proj"), bias)?,
                })
            },
            down_proj: self.linear(&at("down_proj"), bias)?,
        })
    }

    fn linear(&mut self, name: &str, bias: bool) -> Result<Linear, S::Error> {
        Ok(Linear {
            weight: self.parameter(&format!("{name}.weight"))?,
            bias: if bias {
                Some(self.parameter(&format!("{name}.bias"))?)
            } else {
                None
            },
            adapter: None,
        })
    }

    fn norm(&mut self, name: &str) -> Result<RmsNorm, S::Error> {
        Ok(RmsNorm {
            weight: self.parameter(&format!("{name}.weight"))?,
            epsilon: self.config.rms_norm_eps,
        })
    }

    fn parameter<const D: usize>(&mut self, name: &str) -> Result<Param<Tensor<D>>, S::Error> {
        Ok(Param::from_tensor(self.source.tensor(name)?))
    }
}
