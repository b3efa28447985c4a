//! The whole model.

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor};

use crate::attention::SelfAttention;
use crate::block::{Chunk, DecoderLayer};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::linear::Linear;
use crate::mlp::Mlp;
use crate::norm::RmsNorm;
use crate::rotary::Rotary;

/// A frozen decoder: weights on a device, and the sizes they were loaded for.
#[derive(Clone, Debug)]
pub struct Decoder {
    pub(crate) weights: Weights,
    config: ModelConfig,
    device: Device,
}

/// The parameters, as a Burn module whose field paths are the checkpoint's keys.
#[derive(Module, Debug)]
pub(crate) struct Weights {
    pub(crate) model: Model,
    pub(crate) lm_head: Option<Linear>,
}

/// Everything below the output head.
#[derive(Module, Debug)]
pub(crate) struct Model {
    pub(crate) embed_tokens: Embedding,
    pub(crate) layers: Vec<DecoderLayer>,
    pub(crate) norm: RmsNorm,
}

/// A vector per word, `weight: [vocab, hidden]`.
#[derive(Module, Debug)]
pub(crate) struct Embedding {
    pub(crate) weight: Param<Tensor<2>>,
}

impl Decoder {
    /// Loads a checkpoint folder: `config.json` and safetensors, whole or in shards.
    ///
    /// Weights are converted to `f32` whatever they are stored as.
    ///
    /// # Errors
    /// If a file is missing or damaged, or any tensor does not fit the configuration; the error
    /// then lists all of them.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        let config = ModelConfig::from_folder(folder)?;
        let checkpoint = Checkpoint::open(folder)?;
        checkpoint.check(&config)?;
        let weights = Loader {
            checkpoint: &checkpoint,
            config: &config,
            device,
        }
        .weights()?;
        Ok(Self {
            weights,
            config,
            device: device.clone(),
        })
    }

    /// The sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Where the weights are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Hidden states after the last normalization, for the chunks that reach beyond position
    /// `needed_from`.
    ///
    /// # Shapes
    /// - `tokens`: `[batch, seq]`
    pub(crate) fn hidden_states(
        &self,
        tokens: &Tensor<2, Int>,
        rotary: &Rotary,
        needed_from: usize,
        chunk_rows: usize,
    ) -> Vec<Chunk> {
        let [batch, seq] = tokens.dims();
        let rows = (chunk_rows / batch).max(1);
        let model = &self.weights.model;
        let [_, hidden_size] = model.embed_tokens.weight.dims();
        let mut chunks: Vec<Chunk> = (0..seq)
            .step_by(rows)
            .map(|start| {
                let n = rows.min(seq - start);
                let ids = tokens.clone().narrow(1, start, n).reshape([batch * n]);
                let hidden = model.embed_tokens.weight.val().select(0, ids); // [b·t, hidden]
                Chunk {
                    start,
                    hidden: hidden.reshape([batch, n, hidden_size]),
                }
            })
            .collect();
        for (layer_idx, layer) in model.layers.iter().enumerate() {
            let last = layer_idx + 1 == model.layers.len();
            chunks = layer.forward(chunks, rotary, if last { needed_from } else { 0 });
        }
        for chunk in &mut chunks {
            chunk.hidden = model.norm.forward(chunk.hidden.clone());
        }
        chunks
    }

    /// The matrix that turns hidden states into logits, `[vocab, hidden]`.
    pub(crate) fn output_weight(&self) -> Tensor<2> {
        match &self.weights.lm_head {
            Some(head) => head.weight.val(),
            None => self.weights.model.embed_tokens.weight.val(),
        }
    }
}

/// Builds the module from a checkpoint that has been checked against the configuration.
struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a ModelConfig,
    device: &'a Device,
}

impl Loader<'_> {
    fn weights(&self) -> Result<Weights> {
        let layers = (0..self.config.n_layers)
            .map(|idx| self.layer(idx))
            .collect::<Result<_>>()?;
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

    fn layer(&self, layer_idx: usize) -> Result<DecoderLayer> {
        let at = |name: &str| format!("model.layers.{layer_idx}.{name}");
        let attention = |name: &str| {
            self.linear(
                &at(&format!("self_attn.{name}")),
                self.config.attention_bias,
            )
        };
        let mlp = |name: &str| self.linear(&at(&format!("mlp.{name}")), self.config.mlp_bias);
        Ok(DecoderLayer {
            self_attn: SelfAttention {
                q_proj: attention("q_proj")?,
                k_proj: attention("k_proj")?,
                v_proj: attention("v_proj")?,
                o_proj: attention("o_proj")?,
                head_dim: self.config.head_dim,
            },
            mlp: Mlp {
                gate_proj: mlp("gate_proj")?,
                up_proj: mlp("up_proj")?,
                down_proj: mlp("down_proj")?,
            },
            input_layernorm: self.norm(&at("input_layernorm"))?,
            post_attention_layernorm: self.norm(&at("post_attention_layernorm"))?,
        })
    }

    fn linear(&self, name: &str, bias: bool) -> Result<Linear> {
        Ok(Linear {
            weight: self.parameter(&format!("{name}.weight"))?,
            bias: if bias {
                Some(self.parameter(&format!("{name}.bias"))?)
            } else {
                None
            },
        })
    }

    fn norm(&self, name: &str) -> Result<RmsNorm> {
        let weight = self.parameter(&format!("{name}.weight"))?;
        Ok(RmsNorm {
            weight,
            epsilon: self.config.rms_norm_eps,
        })
    }

    fn parameter<const D: usize>(&self, name: &str) -> Result<Param<Tensor<D>>> {
        Ok(Param::from_tensor(self.checkpoint.tensor(
            name,
            self.device,
            DType::F32,
        )?))
    }
}
