//! The sizes of a LLaMA model with random weights.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::config::ModelConfig;
use crate::error::Result;

/// Standard deviation of random weights, the default `initializer_range` of transformers.
pub(crate) const INITIALIZER_RANGE: f64 = 0.02;

/// The sizes of a LLaMA model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct LlamaShape {
    /// Number of decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Number of query heads.
    pub heads: usize,
    /// Number of key and value heads; must divide `heads`.
    pub kv_heads: usize,
    /// Width inside the MLP.
    pub intermediate: usize,
    /// Number of tokens in the vocabulary.
    pub vocab: usize,
    /// Context window in tokens.
    pub window: usize,
    /// Base of the rotary embedding (`rope_theta`).
    pub theta: f64,
    /// Whether the output head shares the embedding matrix.
    pub tied: bool,
}

impl Default for LlamaShape {
    /// 3.2 million parameters and a window of 256 tokens.
    fn default() -> Self {
        Self {
            layers: 4,
            hidden: 256,
            heads: 4,
            kv_heads: 2,
            intermediate: 688,
            vocab: 1024,
            window: 256,
            theta: 10_000.0,
            tied: true,
        }
    }
}

impl LlamaShape {
    /// The configuration of a model of this shape, without special tokens.
    ///
    /// # Errors
    /// If no model has this shape, for instance because `kv_heads` does not divide `heads`.
    pub fn model_config(&self) -> Result<ModelConfig> {
        let json = self.config_json();
        ModelConfig::from_json(&json, Path::new("config.json"))
    }

    /// `config.json` as transformers writes it, without special tokens.
    pub fn config_json(&self) -> Value {
        json!({
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": false,
            "attention_dropout": 0.0,
            "bos_token_id": null,
            "eos_token_id": null,
            "head_dim": self.hidden / self.heads.max(1),
            "hidden_act": "silu",
            "hidden_size": self.hidden,
            "initializer_range": INITIALIZER_RANGE,
            "intermediate_size": self.intermediate,
            "max_position_embeddings": self.window,
            "mlp_bias": false,
            "model_type": "llama",
            "num_attention_heads": self.heads,
            "num_hidden_layers": self.layers,
            "num_key_value_heads": self.kv_heads,
            "rms_norm_eps": 1e-5,
            // transformers 4 reads `rope_theta`, transformers 5 reads `rope_parameters`.
            "rope_theta": self.theta,
            "rope_parameters": { "rope_theta": self.theta, "rope_type": "default" },
            "tie_word_embeddings": self.tied,
            "torch_dtype": "float32",
            "use_cache": true,
            "vocab_size": self.vocab,
        })
    }
}
