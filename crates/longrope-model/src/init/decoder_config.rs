//! Making a decoder from its sizes, following Burn's conventions.

use burn::tensor::Device;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::llama_shape::LlamaShape;
use crate::config::ModelConfig;
use crate::decoder::Decoder;
use crate::error::Result;

/// Makes LLaMA-style decoders with random weights in memory, following Burn's `XConfig::new(..).init(&device)`.
///
/// To load a checkpoint instead, use [`Decoder::load`]. For the sizes of other families, use [`ModelConfig::init`].
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use longrope_model::{DecoderConfig, DecoderSizes};
///
/// # fn main() -> longrope_model::Result<()> {
/// let device = Device::flex();
/// let sizes = DecoderSizes { vocab: 100, hidden: 32, layers: 2, heads: 4 };
/// let decoder = DecoderConfig::new(sizes)
///     .with_kv_heads(2)
///     .with_seed(7)
///     .init(&device);
///
/// let tokens = Tensor::<2, Int>::from_data([[5, 17, 42]], &device); // [batch, seq]
/// let rope = decoder.config().rope.resolve(3);
/// let rotary = decoder.rotary(&rope, 3);
/// let logits = decoder.forward(tokens, &rotary)?;
/// assert_eq!(logits.dims(), [1, 3, 100]); // [batch, seq, vocab]
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecoderConfig {
    shape: LlamaShape,
    seed: u64,
}

/// The sizes that [`DecoderConfig::new`] has no defaults for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderSizes {
    /// Number of tokens in the vocabulary.
    pub vocab: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of decoder layers.
    pub layers: usize,
    /// Number of query heads of a layer.
    pub heads: usize,
}

impl DecoderConfig {
    /// A decoder of these sizes.
    ///
    /// By default, every query head has a key head of its own, the MLP is four times as wide as the residual stream,
    /// the output head shares the embedding matrix, and window, `theta` and seed are 256, 10 000 and 0.
    pub fn new(sizes: DecoderSizes) -> Self {
        let DecoderSizes {
            vocab,
            hidden,
            layers,
            heads,
        } = sizes;
        Self {
            shape: LlamaShape {
                layers,
                hidden,
                heads,
                kv_heads: heads,
                intermediate: 4 * hidden,
                vocab,
                ..LlamaShape::default()
            },
            seed: 0,
        }
    }

    /// Sets the number of key and value heads, which must divide the number of query heads.
    #[must_use]
    pub fn with_kv_heads(mut self, kv_heads: usize) -> Self {
        self.shape.kv_heads = kv_heads;
        self
    }

    /// Sets the width inside the MLP.
    #[must_use]
    pub fn with_intermediate(mut self, intermediate: usize) -> Self {
        self.shape.intermediate = intermediate;
        self
    }

    /// Sets the context window in tokens, `max_position_embeddings`.
    #[must_use]
    pub fn with_window(mut self, window: usize) -> Self {
        self.shape.window = window;
        self
    }

    /// Sets the base of the rotary embedding, `rope_theta`.
    #[must_use]
    pub fn with_theta(mut self, theta: f64) -> Self {
        self.shape.theta = theta;
        self
    }

    /// Sets whether the output head shares the embedding matrix.
    #[must_use]
    pub fn with_tied(mut self, tied: bool) -> Self {
        self.shape.tied = tied;
        self
    }

    /// Sets the seed of the random weights.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// The full configuration of the model.
    ///
    /// # Errors
    /// If the sizes do not fit together.
    pub fn model_config(&self) -> Result<ModelConfig> {
        self.shape.model_config()
    }

    /// Makes the decoder; the same configuration gives the same weights everywhere.
    ///
    /// The weights are those that [`write_random_llama`](crate::write_random_llama) writes for this shape and seed; see
    /// [`ModelConfig::init`] for their distribution.
    ///
    /// # Panics
    /// If the sizes do not fit together. To get an error instead, call [`Self::model_config`] and
    /// [`ModelConfig::init`].
    pub fn init(&self, device: &Device) -> Decoder {
        let config = match self.model_config() {
            Ok(config) => config,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                let cause = cause.unwrap_or_else(|| error.to_string());
                panic!("sizes of a decoder that do not fit together: {cause}")
            }
        };
        config.init(device, &mut ChaCha8Rng::seed_from_u64(self.seed))
    }
}

impl From<LlamaShape> for DecoderConfig {
    /// A decoder of this shape with seed 0.
    fn from(shape: LlamaShape) -> Self {
        Self { shape, seed: 0 }
    }
}
