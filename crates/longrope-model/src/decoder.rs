//! The whole model: loading it and running its layers.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor};
use longrope_rope::ResolvedRope;

use crate::block::{CachedSequence, Chunk, DecoderLayer};
use crate::buffer_limit::check_buffers;
use crate::builder::{Builder, TensorSource};
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{Error, Result};
use crate::head::Head;
use crate::kv_cache::KvCache;
use crate::module_names::SavedModules;
use crate::modules::Weights;
use crate::placement::{Placed, PlacedRotary, Placement};
use crate::precision::Precision;
use crate::rotary::{Rotary, RotaryMaker};

/// A decoder: its configuration, and its weights on a device.
///
/// Load a checkpoint with [`Self::load`], or make random weights with [`DecoderConfig`](crate::DecoderConfig).
#[derive(Clone, Debug)]
pub struct Decoder {
    pub(crate) weights: Weights,
    config: ModelConfig,
    pub(crate) placed: Placed,
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
    pub(crate) fn new(weights: Weights, config: ModelConfig, placed: Placed) -> Self {
        Self {
            weights,
            config,
            placed,
            saved_modules: SavedModules::default(),
            stream: None,
        }
    }

    /// Loads a checkpoint folder: `config.json` and safetensors, whole or in shards.
    ///
    /// Weights of any stored type are converted to `f32`. They are loaded onto one device, or onto the devices of a
    /// [`Placement`].
    ///
    /// # Errors
    /// If a file is missing or damaged, if tensors do not match the configuration (the error lists all of those tensors),
    /// or if one is larger than the largest buffer of its device.
    pub fn load(folder: &Path, placement: impl Into<Placement>) -> Result<Self> {
        Self::load_as(folder, placement, Precision::F32)
    }

    /// Like [`Self::load`], but in another precision.
    ///
    /// # Errors
    /// The same as [`Self::load`].
    pub fn load_as(
        folder: &Path,
        placement: impl Into<Placement>,
        precision: Precision,
    ) -> Result<Self> {
        Self::load_with(folder, placement, precision, |_, _| {})
    }

    /// Like [`Self::load_as`], but calls `on_layer` before each layer is read, with its index and the number of layers.
    ///
    /// # Errors
    /// The same as [`Self::load`].
    pub fn load_with(
        folder: &Path,
        placement: impl Into<Placement>,
        precision: Precision,
        on_layer: impl Fn(usize, usize),
    ) -> Result<Self> {
        let (config, checkpoint) = Checkpoint::open_model(folder)?;
        let placed = Placed::new(placement.into(), &config);
        check_buffers(&config, &placed, precision)?;
        let stored = Stored {
            config: &config,
            checkpoint: &checkpoint,
            precision,
        };
        let layers = (0..config.n_layers)
            .map(|layer_idx| {
                on_layer(layer_idx, config.n_layers);
                stored.on(placed.of_layer(layer_idx)).layer(layer_idx)
            })
            .collect::<Result<_>>()?;
        let weights = stored.on(placed.placement.first()).weights(layers)?;
        Ok(Self::new(weights, config, placed))
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
        placement: impl Into<Placement>,
        precision: Precision,
        on_layer: LayerHook,
    ) -> Result<Self> {
        let (config, checkpoint) = Checkpoint::open_model(folder)?;
        let placed = Placed::new(placement.into(), &config);
        check_buffers(&config, &placed, precision)?;
        let stored = Stored {
            config: &config,
            checkpoint: &checkpoint,
            precision,
        };
        let weights = stored.on(placed.placement.first()).weights(Vec::new())?;
        Ok(Self {
            stream: Some(Stream {
                checkpoint,
                precision,
                on_layer,
            }),
            ..Self::new(weights, config, placed)
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

    /// The same model on other devices. Weights that stay where they are, are shared.
    #[must_use]
    pub fn placed_on(&self, placement: &Placement) -> Self {
        let mut moved = self.clone();
        if *placement == self.placed.placement {
            return moved;
        }
        let placed = Placed::new(placement.clone(), &self.config);
        let layers = std::mem::take(&mut moved.weights.model.layers).into_iter();
        let layers = layers.enumerate().map(|(layer_idx, layer)| {
            let device = placed.of_layer(layer_idx);
            if device == self.placed.of_layer(layer_idx) {
                layer
            } else {
                layer.to_device(device)
            }
        });
        let layers = layers.collect();
        if placement.first() != self.device() {
            moved.weights = moved.weights.to_device(placement.first());
        }
        moved.weights.model.layers = layers;
        moved.placed = placed;
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
        RotaryMaker::new(&self.config, self.device())
    }

    /// The device that holds the weights, or the first of several.
    pub fn device(&self) -> &Device {
        self.placed.placement.first()
    }

    /// The devices that hold the weights.
    pub fn placement(&self) -> &Placement {
        &self.placed.placement
    }

    /// An empty cache for one sequence of up to `capacity` tokens, rotated by `rope`.
    ///
    /// Layers with a sliding window keep only the tokens in their window, so [`KvCache::truncate`] may have to drop
    /// all tokens; see [`Self::whole_kv_cache`].
    pub fn kv_cache(&self, capacity: usize, rope: &ResolvedRope) -> KvCache {
        KvCache::new(
            &self.config,
            capacity,
            rope,
            (self.placement(), self.dtype()),
        )
    }

    /// Like [`Self::kv_cache`], but keeps all tokens in all layers, so that it can be truncated to any length.
    pub fn whole_kv_cache(&self, capacity: usize, rope: &ResolvedRope) -> KvCache {
        KvCache::whole(
            &self.config,
            capacity,
            rope,
            (self.placement(), self.dtype()),
        )
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
                    hidden: self.embed(ids),
                }
            })
            .collect();
        let rotary = PlacedRotary::new(rotary, self.placement());
        for layer_idx in 0..self.config.n_layers {
            let last = layer_idx + 1 == self.config.n_layers;
            let needed_from = if last { needed_from } else { 0 };
            let rotary = rotary.on(self.placed.of_layer(layer_idx));
            chunks = self.layer(layer_idx)?.forward(chunks, rotary, needed_from);
            for chunk in &mut chunks {
                chunk.hidden = self.placed.after(layer_idx, chunk.hidden.clone());
            }
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
            hidden: self.embed(tokens.unsqueeze()),
        });
        for layer_idx in 0..self.config.n_layers {
            let last = layer_idx + 1 == self.config.n_layers;
            let needed_from = if last { needed_from } else { 0 };
            let rotary = cache.rotary.on(self.placed.of_layer(layer_idx));
            let cached = &mut cache.layers[layer_idx];
            let layer = self.layer(layer_idx)?;
            chunk =
                chunk.and_then(|chunk| layer.forward_cached(chunk, cached, rotary, needed_from));
            if let Some(chunk) = &mut chunk {
                chunk.hidden = self.placed.after(layer_idx, chunk.hidden.clone());
            }
        }
        cache.n_tokens += seq;
        Ok(chunk.map(|Chunk { start, hidden }| Chunk {
            start,
            hidden: model.last(hidden),
        }))
    }

    /// Runs one token of each of several sequences, which follows those in the cache of the sequence, and adds it to that
    /// cache. Returns the hidden states after the last normalization.
    ///
    /// # Shapes
    /// - `tokens`: `[n_sequences]`
    /// - output: `[n_sequences, hidden]`
    ///
    /// # Errors
    /// If layers are streamed and cannot be read.
    pub(crate) fn extend_together(
        &self,
        tokens: Tensor<1, Int>,
        caches: &mut [&mut KvCache],
    ) -> Result<Tensor<2>> {
        let mut hidden = self.embed(tokens.unsqueeze());
        let rows = caches
            .iter()
            .map(|cache| (cache.rotary.on_first(), cache.n_tokens));
        let rotary = Rotary::of_tokens(&rows.collect::<Vec<_>>());
        let rotary = PlacedRotary::new(&rotary, &self.placed.placement);
        for layer_idx in 0..self.config.n_layers {
            let sequences = caches.iter_mut().map(|cache| CachedSequence {
                start: cache.n_tokens,
                cache: &mut cache.layers[layer_idx],
            });
            let mut sequences: Vec<CachedSequence<'_>> = sequences.collect();
            let rotary = rotary.on(self.placed.of_layer(layer_idx));
            let layer = self.layer(layer_idx)?;
            hidden = layer.forward_cached_together(hidden, &mut sequences, rotary);
            hidden = self.placed.after(layer_idx, hidden);
        }
        for cache in caches {
            cache.n_tokens += 1;
        }
        Ok(self.weights.model.last(hidden).squeeze_dim(0))
    }

    /// A layer, which is read first if layers are streamed.
    fn layer(&self, layer_idx: usize) -> Result<Cow<'_, DecoderLayer>> {
        Ok(match &self.stream {
            None => Cow::Borrowed(&self.weights.model.layers[layer_idx]),
            Some(stream) => Cow::Owned(self.read_layer(stream, layer_idx)?),
        })
    }

    /// The input of the first layer, on its device: `[batch, seq]` to `[batch, seq, hidden]`.
    pub(crate) fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.placed.embedded(self.weights.model.embed(tokens))
    }

    fn read_layer(&self, stream: &Stream, layer_idx: usize) -> Result<DecoderLayer> {
        (stream.on_layer)(layer_idx, self.config.n_layers);
        let stored = Stored {
            config: &self.config,
            checkpoint: &stream.checkpoint,
            precision: stream.precision,
        };
        stored.on(self.placed.of_layer(layer_idx)).layer(layer_idx)
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

/// A checkpoint that has been checked against the configuration.
struct Stored<'a> {
    config: &'a ModelConfig,
    checkpoint: &'a Checkpoint,
    precision: Precision,
}

impl<'a> Stored<'a> {
    /// Builds modules on a device.
    fn on(&'a self, device: &'a Device) -> Builder<'a, StoredOn<'a>> {
        Builder {
            config: self.config,
            source: StoredOn {
                checkpoint: self.checkpoint,
                precision: self.precision,
                device,
            },
        }
    }
}

/// Reads tensors to a device.
struct StoredOn<'a> {
    checkpoint: &'a Checkpoint,
    precision: Precision,
    device: &'a Device,
}

impl TensorSource for StoredOn<'_> {
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
