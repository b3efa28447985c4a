//! The whole model: its configuration and its weights on their devices.

mod buffer_limit;
pub(crate) mod builder;
mod forward;
pub(crate) mod placement;
mod precision;
mod stored;

pub use placement::{Placement, layers_per_device};
pub use precision::Precision;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use burn::module::Module;
use burn::tensor::{DType, Device, Int, Tensor};
use longrope_rope::ResolvedRope;

use self::buffer_limit::check_buffers;
use self::placement::Placed;
use self::stored::Stored;
use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::config::module_names::SavedModules;
use crate::error::Result;
use crate::kv_cache::KvCache;
use crate::modules::head::Head;
use crate::modules::weights::Weights;
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

    /// The type of matrices and embeddings.
    pub fn matrix_dtype(&self) -> DType {
        self.weights.model.embed_tokens.weight.val().dtype()
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

    /// The device that holds a parameter, by its name in a checkpoint.
    pub fn device_of(&self, parameter: &str) -> &Device {
        self.placed.of_parameter(parameter)
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
        KvCache::new(&self.config, capacity, rope, self.placement(), self.dtype())
    }

    /// Like [`Self::kv_cache`], but keeps all tokens in all layers, so that it can be truncated to any length.
    pub fn whole_kv_cache(&self, capacity: usize, rope: &ResolvedRope) -> KvCache {
        KvCache::whole(&self.config, capacity, rope, self.placement(), self.dtype())
    }

    /// Size of [`Self::whole_kv_cache`] in bytes.
    pub fn kv_cache_bytes(&self, capacity: usize) -> usize {
        KvCache::n_bytes(&self.config, capacity, self.dtype())
    }

    /// The input of the first layer, on its device: `[batch, seq]` to `[batch, seq, hidden]`.
    pub(crate) fn embed(&self, tokens: Tensor<2, Int>) -> Tensor<3> {
        self.placed.embedded(self.weights.model.embed(tokens))
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
