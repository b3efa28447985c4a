//! The families of models: one file each, which says how the configuration class reads `config.json` and what the
//! decoder computes.

mod arcee;
mod cohere2;
mod ernie4_5;
mod exaone4;
mod gemma2;
mod gemma3;
mod glm4;
mod gpt_oss;
mod granite;
mod hunyuan_v1_dense;
mod internlm3;
mod llama;
mod minicpm;
mod ministral3;
mod mistral;
mod mixtral;
mod olmo2;
mod olmo3;
mod phi;
mod phi3;
mod phimoe;
mod qwen2;
mod qwen2_moe;
mod qwen3;
mod qwen3_moe;
mod refused;
mod rules;
mod seed_oss;
mod smollm3;
mod stablelm;
mod starcoder2;

use serde_json::{Map, Value};

pub(super) use rules::{ByLayerType, Defaults, RopeRules, Rules, Sizes, Windows};

use super::fields::Fields;
use super::keys::{FULL, MODEL_TYPE};
use super::nested::missing_language_model;
use crate::error::Names;
use crate::{Error, Result};

/// Sections in which models of text and images keep the config of their language model.
const NESTED: [&str; 4] = [
    "text_config",
    "llm_config",
    "language_config",
    "thinker_config",
];

macro_rules! families {
    ($($(#[$doc:meta])* $variant:ident = $file:ident;)*) => {
        /// A family of models, by the `model_type` in its configs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Family {
            $($(#[$doc])* $variant,)*
        }

        /// `model_type` of all families.
        const NAMES: Names = Names(&[$($file::RULES.model_type),*]);

        impl Family {
            /// All families.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The `model_type` in its configs.
            pub fn model_type(self) -> &'static str {
                self.rules().model_type
            }

            /// The file of the family.
            pub(super) fn rules(self) -> &'static Rules {
                match self {
                    $(Self::$variant => &$file::RULES,)*
                }
            }
        }
    };
}

families! {
    /// LLaMA 1, 2 and 3, and models with the same architecture.
    Llama = llama;
    /// Mistral: LLaMA with a sliding window in every layer.
    Mistral = mistral;
    /// Phi-3, Phi-3.5 and Phi-4-mini: fused projections; part of a head may be left unrotated.
    Phi3 = phi3;
    /// Qwen2 and Qwen2.5: biases on query, key and value; a sliding window in some layers.
    Qwen2 = qwen2;
    /// Qwen3: normalized queries and keys.
    Qwen3 = qwen3;
    /// SmolLM3: some layers do not rotate.
    SmolLm3 = smollm3;
    /// Granite: constant factors on embeddings, scores, residuals and logits.
    Granite = granite;
    /// MiniCPM 1, 2 and 4: constant factors on embeddings, residuals and logits.
    MiniCpm = minicpm;
    /// Ministral 3: queries grow with their position.
    Ministral3 = ministral3;
    /// OLMo 2: normalizations after attention and MLP.
    Olmo2 = olmo2;
    /// OLMo 3: OLMo 2 with a sliding window and a plain rope in most layers.
    Olmo3 = olmo3;
    /// Seed-OSS: LLaMA with biases.
    SeedOss = seed_oss;
    /// ERNIE 4.5: pairs of neighbouring dimensions are rotated.
    Ernie45 = ernie4_5;
    /// Gemma 2: four normalizations per layer, soft caps, a sliding window in every other layer.
    Gemma2 = gemma2;
    /// Gemma 3: Gemma 2 with normalized queries and keys, and a rope of its own in layers with a sliding window.
    Gemma3 = gemma3;
    /// GLM-4: four normalizations per layer; half of each head is rotated, in neighbouring pairs.
    Glm4 = glm4;
    /// Cohere 2: attention and MLP in parallel; only layers with a sliding window rotate.
    Cohere2 = cohere2;
    /// EXAONE 4: normalizations after attention and MLP.
    Exaone4 = exaone4;
    /// Hunyuan (dense): queries and keys normalized after their rotation.
    HunyuanDense = hunyuan_v1_dense;
    /// Phi-1, Phi-1.5 and Phi-2: attention and MLP in parallel, biases everywhere.
    Phi = phi;
    /// StableLM: layer normalizations with biases; a quarter of each head is rotated.
    StableLm = stablelm;
    /// StarCoder2: layer normalizations, an MLP without a gate, biases everywhere.
    StarCoder2 = starcoder2;
    /// Arcee: an MLP without a gate.
    Arcee = arcee;
    /// InternLM3: LLaMA with other switches for its biases.
    InternLm3 = internlm3;
    /// Mixtral: Mistral with experts.
    Mixtral = mixtral;
    /// Qwen1.5-MoE and Qwen2-MoE: Qwen2 with experts, and one that all tokens share.
    Qwen2Moe = qwen2_moe;
    /// Qwen3-MoE: Qwen3 with experts.
    Qwen3Moe = qwen3_moe;
    /// Phi-3.5-MoE: experts, layer normalizations with biases.
    PhiMoe = phimoe;
    /// gpt-oss: experts, sinks, a sliding window in every other layer.
    GptOss = gpt_oss;
}

impl Family {
    /// Whether its layers with a sliding window have a rope of their own.
    pub fn has_local_rope(self) -> bool {
        matches!(self.rules().rope.by_layer_type, ByLayerType::Local { .. })
    }

    /// Whether transformers 5.24 uses the short factors at every length.
    pub(crate) fn has_short_factors_in_transformers(self) -> bool {
        self.rules().rope.short_in_transformers
    }

    /// Whether its class needs `head_dim` as a number in the config as soon as the rope is scaled.
    pub(crate) fn needs_head_dim(self) -> bool {
        self.rules().rope.needs_head_dim
    }

    /// The part of `rope_parameters` for layers without a window: all of it, unless other layers have a rope of their own.
    /// `None` if that part is missing.
    pub(crate) fn full_layers(self, section: &Map<String, Value>) -> Option<&Map<String, Value>> {
        if section.is_empty() || !self.has_local_rope() {
            return Some(section);
        }
        section.get(FULL)?.as_object()
    }

    /// Whether its class computes frequencies in a way of its own, so that the rules of other classes say nothing about it.
    pub(crate) fn has_own_rope_rules(self) -> bool {
        let rules = &self.rules().rope;
        rules.has_alpha || rules.always_long || rules.has_mscales
    }

    /// The rope section that the class of a config without one fills in; empty if it fills in none.
    pub(crate) fn missing_section(self) -> Map<String, Value> {
        self.rules().rope.missing_section()
    }

    /// The default of `rope_theta`.
    pub(crate) fn default_theta(self) -> f64 {
        self.rules().rope.theta
    }

    /// The family of a config, if it is a known one.
    pub(super) fn find(config: &Map<String, Value>) -> Option<Self> {
        let model_type = config.get(MODEL_TYPE)?.as_str()?;
        Self::ALL
            .iter()
            .copied()
            .find(|family| family.model_type() == model_type)
    }

    /// The family of a config.
    ///
    /// # Errors
    /// [`Error::MissingKey`], [`Error::WrongValue`], [`Error::NoLanguageModel`], [`Error::NestedConfig`],
    /// [`Error::RefusedFamily`] and [`Error::UnknownFamily`].
    pub(crate) fn of(config: &Map<String, Value>) -> Result<Self> {
        let mut fields = Fields::new("", config);
        let Some(found) = fields.text(MODEL_TYPE)? else {
            return Err(fields.missing(MODEL_TYPE));
        };
        if let Some(family) = Self::find(config) {
            return Ok(family);
        }
        // A config with its language model in a section was replaced by that section.
        if let Some(error) = missing_language_model(config) {
            return Err(error);
        }
        if let Some(reason) = refused::reason(found) {
            return Err(Error::RefusedFamily {
                found: found.to_owned(),
                reason,
            });
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
