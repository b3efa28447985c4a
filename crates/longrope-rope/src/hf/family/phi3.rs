//! Phi-3, as `Phi3Config` reads it.

use super::super::keys::PHI3_ORIGINAL;
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
        only_long_rope: true,
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
