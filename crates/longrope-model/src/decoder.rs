//! The whole model.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{DType, Device, Int, Tensor};

use crate::attention::{Qkv, SelfAttention, SplitQkv};
use crate::block::{Chunk, DecoderLayer};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::Result;
use crate::kv_cache::KvCache;
use crate::linear::Linear;
use crate::mlp::{GateUp, Mlp, SplitGateUp};
use crate::norm::RmsNorm;
use crate::rotary::Rotary;

/// A frozen decoder: weights on a device, and the sizes they were loaded for.
#[derive(Clone, Debug)]
pub struct Decoder {
    pub(crate) weights: Weights,
    config: ModelConfig,
    device: Device,
    /// Where layers are read from, each time one is needed, if they are not kept.
    stream: Option<Stream>,
}

/// Told of every layer that is read: its index and their number.
pub type LayerHook = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Layers that stay in their files.
#[derive(Clone)]
struct Stream {
    checkpoint: Checkpoint,
    on_layer: LayerHook,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

/// The parameters, as a Burn module.
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
        Self::load_with(folder, device, |_, _| {})
    }

    /// As [`Self::load`], telling `on_layer` of every layer that is read.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(
        folder: &Path,
        device: &Device,
        on_layer: impl Fn(usize, usize),
    ) -> Result<Self> {
        Self::load_layers(folder, device, DType::F32, on_layer)
    }

    /// As [`Self::load`], converting weights to `dtype`.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_as(folder: &Path, device: &Device, dtype: DType) -> Result<Self> {
        Self::load_layers(folder, device, dtype, |_, _| {})
    }

    fn load_layers(
        folder: &Path,
        device: &Device,
        dtype: DType,
        on_layer: impl Fn(usize, usize),
    ) -> Result<Self> {
        let (config, checkpoint) = open(folder)?;
        let loader = Loader {
            dtype,
            ..Loader::new(&checkpoint, &config, device)
        };
        let layers = (0..config.n_layers)
            .map(|layer_idx| {
                on_layer(layer_idx, config.n_layers);
                loader.layer(layer_idx)
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            weights: loader.weights(layers)?,
            config,
            device: device.clone(),
            stream: None,
        })
    }

    /// Opens a checkpoint of which only the embeddings and the head stay in memory.
    ///
    /// Layers are read one at a time for every call that needs them. Memory is that of one layer,
    /// whatever the model's size; each call reads all weights, so batches should be large. `on_layer`
    /// is told of every layer that is read.
    ///
    /// # Errors
    /// As [`Self::load`], and later calls fail if a file has become unreadable.
    pub fn stream(folder: &Path, device: &Device, on_layer: LayerHook) -> Result<Self> {
        let (config, checkpoint) = open(folder)?;
        let weights = Loader::new(&checkpoint, &config, device).weights(Vec::new())?;
        Ok(Self {
            weights,
            config,
            device: device.clone(),
            stream: Some(Stream {
                checkpoint,
                on_layer,
            }),
        })
    }

    /// The sizes.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The type of the weights.
    pub fn dtype(&self) -> DType {
        self.weights.model.norm.weight.val().dtype()
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
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    pub(crate) fn hidden_states(
        &self,
        tokens: &Tensor<2, Int>,
        rotary: &Rotary,
        needed_from: usize,
        chunk_rows: usize,
    ) -> Result<Vec<Chunk>> {
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
        for (layer_idx, window) in self.config.windows.iter().enumerate() {
            let last = layer_idx + 1 == self.config.n_layers;
            let needed_from = if last { needed_from } else { 0 };
            chunks = match &self.stream {
                None => model.layers[layer_idx].forward(chunks, rotary, *window, needed_from),
                Some(stream) => self.read_layer(stream, layer_idx)?.forward(
                    chunks,
                    rotary,
                    *window,
                    needed_from,
                ),
            };
        }
        for chunk in &mut chunks {
            chunk.hidden = model.norm.forward(chunk.hidden.clone());
        }
        Ok(chunks)
    }

    /// Runs tokens of one sequence behind those in a cache, and caches them too; hidden states
    /// after the last normalization.
    ///
    /// # Shapes
    /// - `tokens`: `[seq]`
    /// - output: `[1, seq, hidden]`
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    pub(crate) fn extend(&self, tokens: Tensor<1, Int>, cache: &mut KvCache) -> Result<Tensor<3>> {
        let [seq] = tokens.dims();
        let start = cache.n_tokens;
        let model = &self.weights.model;
        let mut hidden = model
            .embed_tokens
            .weight
            .val()
            .select(0, tokens)
            .unsqueeze::<3>();
        for (layer_idx, window) in self.config.windows.iter().enumerate() {
            let cached = &mut cache.layers[layer_idx];
            let place = (start, *window);
            hidden = match &self.stream {
                None => {
                    model.layers[layer_idx].forward_cached(hidden, cached, &cache.rotary, place)
                }
                Some(stream) => self.read_layer(stream, layer_idx)?.forward_cached(
                    hidden,
                    cached,
                    &cache.rotary,
                    place,
                ),
            };
        }
        cache.n_tokens += seq;
        Ok(model.norm.forward(hidden))
    }

    fn read_layer(&self, stream: &Stream, layer_idx: usize) -> Result<DecoderLayer> {
        (stream.on_layer)(layer_idx, self.config.n_layers);
        Loader::new(&stream.checkpoint, &self.config, &self.device).layer(layer_idx)
    }

    /// The matrix that turns hidden states into logits, `[vocab, hidden]`.
    pub(crate) fn output_weight(&self) -> Tensor<2> {
        self.weights.output_weight()
    }

    /// Whether layers stay in their files.
    pub fn is_streamed(&self) -> bool {
        self.stream.is_some()
    }
}

impl Weights {
    /// The matrix that turns hidden states into logits, `[vocab, hidden]`.
    pub(crate) fn output_weight(&self) -> Tensor<2> {
        match &self.lm_head {
            Some(head) => head.weight.val(),
            None => self.model.embed_tokens.weight.val(),
        }
    }

    /// A handle on everything but the layers.
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

/// Builds the module from a checkpoint that has been checked against the configuration.
struct Loader<'a> {
    checkpoint: &'a Checkpoint,
    config: &'a ModelConfig,
    device: &'a Device,
    dtype: DType,
}

/// Reads configuration and headers of a folder and checks that they fit.
fn open(folder: &Path) -> Result<(ModelConfig, Checkpoint)> {
    let config = ModelConfig::from_folder(folder)?;
    let checkpoint = Checkpoint::open(folder)?;
    checkpoint.check(&config)?;
    Ok((config, checkpoint))
}

impl<'a> Loader<'a> {
    fn new(checkpoint: &'a Checkpoint, config: &'a ModelConfig, device: &'a Device) -> Self {
        Self {
            checkpoint,
            config,
            device,
            dtype: DType::F32,
        }
    }

    fn weights(&self, layers: Vec<DecoderLayer>) -> Result<Weights> {
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
        let config = self.config;
        let at = |name: &str| format!("model.layers.{layer_idx}.{name}");
        let qkv = |name: &str| self.linear(&at(&format!("self_attn.{name}")), config.qkv_bias);
        let mlp = |name: &str| self.linear(&at(&format!("mlp.{name}")), config.mlp_bias);
        let fused = config.family.fused_projections();
        Ok(DecoderLayer {
            self_attn: SelfAttention {
                qkv: if fused {
                    Qkv::Fused(qkv("qkv_proj")?)
                } else {
                    Qkv::Split(SplitQkv {
                        q_proj: qkv("q_proj")?,
                        k_proj: qkv("k_proj")?,
                        v_proj: qkv("v_proj")?,
                    })
                },
                o_proj: self.linear(&at("self_attn.o_proj"), config.output_bias)?,
                head_dim: config.head_dim,
            },
            mlp: Mlp {
                gate_up: if fused {
                    GateUp::Fused(mlp("gate_up_proj")?)
                } else {
                    GateUp::Split(SplitGateUp {
                        gate_proj: mlp("gate_proj")?,
                        up_proj: mlp("up_proj")?,
                    })
                },
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
            adapter: None,
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
            self.dtype,
        )?))
    }
}
