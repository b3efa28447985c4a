//! The families of models, and the defaults of their configuration classes.

use serde_json::{Map, Value};

use super::fields::Fields;
use super::keys::MODEL_TYPE;
use crate::error::Names;
use crate::{Error, Result};

/// `model_type` of all families.
const NAMES: Names = Names(&["llama", "mistral", "phi3", "qwen2"]);

/// Sections in which models of text and images keep the config of their language model.
const NESTED: [&str; 4] = [
    "text_config",
    "llm_config",
    "language_config",
    "thinker_config",
];

/// A family of models, by the `model_type` in its configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// LLaMA 1, 2 and 3, and models with the same architecture.
    Llama,
    /// Mistral: LLaMA with a sliding window in every layer.
    Mistral,
    /// Phi-3, Phi-3.5 and Phi-4-mini: fused projections; part of a head may be left unrotated.
    Phi3,
    /// Qwen2 and Qwen2.5: biases on query, key and value; a sliding window in some layers.
    Qwen2,
}

/// What a configuration class assumes where `config.json` has no key.
pub(super) struct Defaults {
    pub(super) vocab_size: usize,
    pub(super) hidden_size: usize,
    pub(super) intermediate_size: usize,
    pub(super) n_layers: usize,
    pub(super) n_heads: usize,
    /// `None`: as many as query heads.
    pub(super) n_kv_heads: Option<usize>,
    pub(super) max_context: usize,
    pub(super) rms_norm_eps: f64,
    pub(super) sliding_window: Option<usize>,
    pub(super) bos_token: Option<u32>,
    pub(super) eos_token: Option<u32>,
}

/// `rope_theta` of every class.
pub(super) const DEFAULT_THETA: f64 = 10_000.0;

/// `max_window_layers` of Qwen2.
pub(super) const DEFAULT_WINDOW_LAYERS: usize = 28;

impl Family {
    /// All families.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Mistral, Self::Phi3, Self::Qwen2];

    /// The `model_type` in its configs.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Phi3 => "phi3",
            Self::Qwen2 => "qwen2",
        }
    }

    /// The defaults of `LlamaConfig`, `MistralConfig`, `Phi3Config` and `Qwen2Config` of transformers 5.24.
    pub(super) fn defaults(self) -> Defaults {
        match self {
            Self::Llama => Defaults {
                vocab_size: 32_000,
                hidden_size: 4096,
                intermediate_size: 11_008,
                n_layers: 32,
                n_heads: 32,
                n_kv_heads: None,
                max_context: 2048,
                rms_norm_eps: 1e-6,
                sliding_window: None,
                bos_token: Some(1),
                eos_token: Some(2),
            },
            Self::Mistral => Defaults {
                intermediate_size: 14_336,
                n_kv_heads: Some(8),
                max_context: 131_072,
                sliding_window: Some(4096),
                ..Self::Llama.defaults()
            },
            Self::Phi3 => Defaults {
                vocab_size: 32_064,
                hidden_size: 3072,
                intermediate_size: 8192,
                max_context: 4096,
                rms_norm_eps: 1e-5,
                eos_token: Some(32_000),
                ..Self::Llama.defaults()
            },
            Self::Qwen2 => Defaults {
                vocab_size: 151_936,
                intermediate_size: 22_016,
                n_kv_heads: Some(32),
                max_context: 32_768,
                sliding_window: Some(4096),
                bos_token: None,
                eos_token: None,
                ..Self::Llama.defaults()
            },
        }
    }

    /// The family of a config, if it is a known one.
    pub(super) fn find(config: &Map<String, Value>) -> Option<Self> {
        let model_type = config.get(MODEL_TYPE)?.as_str()?;
        Self::ALL
            .into_iter()
            .find(|family| family.model_type() == model_type)
    }

    /// The family of a config.
    ///
    /// # Errors
    /// [`Error::MissingKey`], [`Error::WrongValue`], [`Error::NestedConfig`] and [`Error::UnknownFamily`].
    pub(crate) fn of(config: &Map<String, Value>) -> Result<Self> {
        let mut fields = Fields::new("", config);
        let Some(found) = fields.text(MODEL_TYPE)? else {
            return Err(fields.missing(MODEL_TYPE));
        };
        if let Some(family) = Self::find(config) {
            return Ok(family);
        }
        let inner_type = |section: &&str| {
            let inner = config.get(*section)?.as_object()?;
            Some(
                inner
                    .get(MODEL_TYPE)
                    .and_then(Value::as_str)
                    .unwrap_or("unnamed")
                    .to_owned(),
            )
        };
        let nested = NESTED
            .iter()
            .find_map(|section| Some((*section, inner_type(section)?)));
        Err(match nested {
            Some((section, inner)) => Error::NestedConfig {
                found: found.to_owned(),
                section,
                inner,
                expected: NAMES,
            },
            None => Error::UnknownFamily {
                found: found.to_owned(),
                expected: NAMES,
            },
        })
    }
}
