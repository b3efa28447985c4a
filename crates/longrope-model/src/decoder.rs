//! The whole model: loading it and running its layers.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor};
use longrope_rope::ResolvedRope;

use crate::block::{Chunk, DecoderLayer};
use crate::builder::{Builder, TensorSource};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::kv_cache::KvCache;
use crate::module_names::SavedModules;
use crate::modules::Weights;
use crate::precision::Precision;
use crate::rotary::{Rotary, RotaryMaker};

/// A decoder: its configuration, and its weights on a device.
///
/// Load a checkpoint with [`Self::load`], or make random weights with [`DecoderConfig`](crate::DecoderConfig).
#[derive(Clone, Debug)]
pub struct Decoder {
    pub(crate) weights: Weights,
    config: ModelConfig,
    device: Device,
    /// Modules that are trained beside adapters.
    pub(crate) saved_modules: SavedModules,
    /// Where layers are read from each time they are needed; `None` if they are in memory.
    stream: Option<Stream>,
}

/// Called before each layer is read, with its index and the number of layers.
pub type LayerHook = Arc<dyn Fn(usize, usize) + Send + Sync>;

/// Layers that are read from their files when they are needed.
#[derive(Clone)]
struct Stream {
    checkpoint: Checkpoint,
    precision: Precision,
    on_layer: LayerHook,
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("checkpoint", &self.checkpoint)
            .finish_non_exhaustive()
    }
}

impl Decoder {
    /// A decoder whose layers are all in memory.
    pub(crate) fn new(weights: Weights, config: ModelConfig, device: &Device) -> Self {
        Self {
            weights,
            config,
            device: device.clone(),
            saved_modules: SavedModules::default(),
            stream: None,
        }
    }

    /// Loads a checkpoint folder: `config.json` and safetensors, whole or in shards.
    ///
    /// Weights of any stored type are converted to `f32`.
    ///
    /// # Errors
    /// If a file is missing or damaged, or tensors do not match the configuration; the error lists all of those
    /// tensors.
    pub fn load(folder: &Path, device: &Device) -> Result<Self> {
        Self::load_as(folder, device, Precision::F32)
    }

    /// Like [`Self::load`], but in another precision.
    ///
    /// # Errors
    /// The same as [`Self::load`].
    pub fn load_as(folder: &Path, device: &Device, precision: Precision) -> Result<Self> {
        Self::load_with(folder, device, precision, |_, _| {})
    }

    /// Like [`Self::load_as`], but calls `on_layer` before each layer is read, with its index and the number of layers.
    ///
    /// # Errors
    /// The same as [`Self::load`].
    pub fn load_with(
        folder: &Path,
        device: &Device,
        precision: Precision,
        on_layer: impl Fn(usize, usize),
    ) -> Result<Self> {
        let (config, checkpoint) = Checkpoint::open_model(folder)?;
        let mut builder = Builder {
            config: &config,
            source: Stored {
                checkpoint: &checkpoint,
                device,
                precision,
            },
        };
        let layers = (0..config.n_layers)
            .map(|layer_idx| {
                on_layer(layer_idx, config.n_layers);
                builder.layer(layer_idx)
            })
            .collect::<Result<_>>()?;
        let weights = builder.weights(layers)?;
        Ok(Self::new(weights, config, device))
    }

    /// Opens a checkpoint and keeps only the embeddings, the last normalization and the head in memory.
    ///
    /// Each call reads the layers one at a time, so only one layer is in memory. Since each call reads all weights,
    /// batches should be large. `on_layer` is called before each layer is read.
    ///
    /// # Errors
    /// The same as [`Self::load`]. Later calls fail if a file has become unreadable.
    pub fn stream(
        folder: &Path,
        device: &Device,
        precision: Precision,
        on_layer: LayerHook,
    ) -> Result<Self> {
        let (config, checkpoint) = Checkpoint::open_model(folder)?;
        let mut builder = Builder {
            config: &config,
            source: Stored {
                checkpoint: &checkpoint,
                device,
                precision,
            },
        };
        let weights = builder.weights(Vec::new())?;
        Ok(Self {
            stream: Some(Stream {
                checkpoint,
                precision,
                on_layer,
            }),
            ..Self::new(weights, config, device)
        })
    }

    /// The same model with one RoPE for all layers that rotate; see [`ModelConfig::with_shared_rope`].
    #[must_use]
    pub fn with_shared_rope(mut self) -> Self {
        self.config = self.config.with_shared_rope();
        let layers = self.weights.model.layers.iter_mut();
        for (layer, rotation) in layers.zip(&self.config.layout.rotations) {
            layer.self_attn.rotation = *rotation;
        }
        self
    }

    /// The same model on another device. On the same device, it shares the weights.
    #[must_use]
    pub fn to_device(&self, device: &Device) -> Self {
        let mut moved = self.clone();
        if *device != self.device {
            moved.weights = moved.weights.to_device(device);
            moved.device = device.clone();
        }
        moved
    }

    /// The configuration.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The type of activations, and of all weights but matrices, which may be [narrower](Precision::widened).
    pub fn dtype(&self) -> DType {
        self.weights.model.dtype()
    }

    /// The rotation angles of positions `0..n_positions` under `rope`.
    ///
    /// Layers that have a RoPE of their own keep it; see [`ModelConfig::local_rope`].
    pub fn rotary(&self, rope: &ResolvedRope, n_positions: usize) -> Rotary {
        self.rotaries().whole(rope, n_positions)
    }

    /// Makes rotation angles for this model, also at positions with gaps. It holds none of the weights.
    pub fn rotaries(&self) -> RotaryMaker {
        RotaryMaker::new(&self.config, &self.device)
    }

    /// The device that holds the weights.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// An empty cache for one sequence of up to `capacity` tokens, rotated by `rope`.
    ///
    /// Layers with a sliding window keep only the tokens in their window, so [`KvCache::truncate`] may have to drop
    /// all tokens; see [`Self::whole_kv_cache`].
    pub fn kv_cache(&self, capacity: usize, rope: &ResolvedRope) -> KvCache {
        KvCache::new(&self.config, capacity, rope, (&self.device, self.dtype()))
    }

    /// Like [`Self::kv_cache`], but keeps all tokens in all layers, so that it can be truncated to any length.
    pub fn whole_kv_cache(&self, capacity: usize, rope: &ResolvedRope) -> KvCache {
        KvCache::whole(&self.config, capacity, rope, (&self.device, self.dtype()))
    }

    /// Size of [`Self::whole_kv_cache`] in bytes.
    pub fn kv_cache_bytes(&self, capacity: usize) -> usize {
        KvCache::n_bytes(&self.config, capacity, self.dtype())
    }

    /// Hidden states after the last normalization, in chunks. Of the positions before `needed_from`, most are left out:
    /// the last layer computes only their keys and values.
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
        let mut chunks: Vec<Chunk> = (0..seq)
            .step_by(rows)
            .map(|start| {
                let n = rows.min(seq - start);
                let ids = tokens.clone().narrow(1, start, n);
                Chunk {
                    start,
                    hidden: model.embed(ids),
                }
            })
            .collect();
        for layer_idx in 0..self.config.n_layers {
            let last = layer_idx + 1 == self.config.n_layers;
            let needed_from = if last { needed_from } else { 0 };
            chunks = match &self.stream {
                None => model.layers[layer_idx].forward(chunks, rotary, needed_from),
                Some(stream) => {
                    let layer = self.read_layer(stream, layer_idx)?;
                    layer.forward(chunks, rotary, needed_from)
                }
            };
        }
        for chunk in &mut chunks {
            chunk.hidden = model.last(chunk.hidden.clone());
        }
        Ok(chunks)
    }

    /// Runs the tokens that follow those in a cache and adds them to the cache. Returns their hidden states after the
    /// last normalization, or `None` if they all come before position `needed_from`. Of the positions before it, most are
    /// left out: the last layer computes only their keys and values.
    ///
    /// # Shapes
    /// - `tokens`: `[seq]`
    /// - output: `[1, seq or fewer, hidden]`
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    pub(crate) fn extend(
        &self,
        tokens: Tensor<1, Int>,
        cache: &mut KvCache,
        needed_from: usize,
    ) -> Result<Option<Chunk>> {
        let [seq] = tokens.dims();
        let model = &self.weights.model;
        let mut chunk = Some(Chunk {
            start: cache.n_tokens,
            hidden: model.embed(tokens.unsqueeze()),
        });
        for layer_idx in 0..self.config.n_layers {
            let last = layer_idx + 1 == self.config.n_layers;
            let needed_from = if last { needed_from } else { 0 };
            let (cached, rotary) = (&mut cache.layers[layer_idx], &cache.rotary);
            let read;
            let layer = match &self.stream {
                None => &model.layers[layer_idx],
                Some(stream) => {
                    read = self.read_layer(stream, layer_idx)?;
                    &read
                }
            };
            chunk =
                chunk.and_then(|chunk| layer.forward_cached(chunk, cached, rotary, needed_from));
        }
        cache.n_tokens += seq;
        Ok(chunk.map(|Chunk { start, hidden }| Chunk {
            start,
            hidden: model.last(hidden),
        }))
    }

    fn read_layer(&self, stream: &Stream, layer_idx: usize) -> Result<DecoderLayer> {
        (stream.on_layer)(layer_idx, self.config.n_layers);
        let mut builder = Builder {
            config: &self.config,
            source: Stored {
                checkpoint: &stream.checkpoint,
                device: &self.device,
                precision: stream.precision,
            },
        };
        builder.layer(layer_idx)
    }

    /// The output head.
    pub(crate) fn head(&self) -> Head {
        self.weights.head()
    }

    /// Whether layers are read from their files for each call.
    pub fn is_streamed(&self) -> bool {
        self.stream.is_some()
    }
}

/// Tensors of a checkpoint that has been checked against the configuration.
struct Stored<'a> {
    checkpoint: &'a Checkpoint,
    device: &'a Device,
    precision: Precision,
}

impl TensorSource for Stored<'_> {
    type Error = Error;

    fn tensor<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>> {
        let dtype = self.precision.compute();
        self.checkpoint.tensor(name, self.device, dtype)
    }

    fn matrix<const D: usize>(&mut self, name: &str) -> Result<Tensor<D>> {
        let dtype = self.precision.matrices();
        self.checkpoint.tensor(name, self.device, dtype)
    }
}
