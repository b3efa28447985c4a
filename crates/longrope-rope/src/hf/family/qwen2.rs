//! Qwen2, as `Qwen2Config` reads it.

use super::super::layout::{Biases, Layout};
use super::super::windows::from_a_layer_on;
use super::rules::{ByLayerType, Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules};

pub(super) const RULES: Rules = Rules {
    model_type: "qwen2",
    defaults: Defaults {
        vocab_size: 151_936,
        intermediate_size: 22_016,
        n_kv_heads: Some(32),
        max_context: 32_768,
        bos_token: None,
        eos_tokens: &[],
        ..LLAMA
    },
    rope: RopeRules {
        by_layer_type: ByLayerType::Same,
        ..LLAMA_ROPE
    },
    ignored: &["attention_bias", "mlp_bias"],
    windows: from_a_layer_on,
    layout: |_, sizes, _| {
        Ok(Layout {
            biases: Biases {
                query_key_value: true,
                ..Biases::default()
            },
            ..sizes.llama()
        })
    },
};
