//! Phi-3, as `Phi3Config` reads it.

use serde_json::{Map, Value};

use super::super::keys::{MODEL_TYPE, PHI3_ORIGINAL};
use super::super::layout::{LLAMA as NAMES, Layout, ModuleNames};
use super::super::windows::every_layer;
use super::mistral::IGNORED;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules};

pub(super) const RULES: Rules = Rules {
    model_type: "phi3",
    defaults: Defaults {
        vocab_size: 32_064,
        hidden_size: 3072,
        intermediate_size: 8192,
        max_context: 4096,
        norm_eps: ("rms_norm_eps", 1e-5),
        eos_tokens: &[32_000],
        ..LLAMA
    },
    rope: RopeRules {
        whole_heads: false,
        original_context: Some(PHI3_ORIGINAL),
        ..LLAMA_ROPE
    },
    ignored: IGNORED,
    windows: |top, sizes| every_layer(top, sizes, None),
    layout: |_, sizes, _| {
        Ok(Layout {
            names: ModuleNames {
                query_key_value: Some("self_attn.qkv_proj"),
                gate_up: Some("mlp.gate_up_proj"),
                ..NAMES
            },
            ..sizes.llama()
        })
    },
};

/// Whether this is a Phi-3 config. These load only the type longrope, and call it by older names.
pub(in crate::hf) fn is_phi3(config: &Map<String, Value>) -> bool {
    config
        .get(MODEL_TYPE)
        .and_then(Value::as_str)
        .is_some_and(|model_type| model_type.starts_with("phi3"))
}
