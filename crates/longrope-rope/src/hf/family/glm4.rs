//! GLM-4, as `Glm4Config` reads it: four normalizations per layer; half of each head is rotated, in neighbouring pairs.

use super::super::fields::Fields;
use super::super::layout::{AttentionLayout, Biases, LLAMA as NAMES, Layout, ModuleNames, Pairs};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "glm4",
    defaults: Defaults {
        vocab_size: 151_552,
        intermediate_size: 13_696,
        n_layers: 40,
        n_kv_heads: Some(2),
        null_kv_heads: false,
        head_dim: Some(128),
        max_context: 131_072,
        norm_eps: ("rms_norm_eps", 1.562_5e-7),
        bos_token: None,
        eos_tokens: &[151_329, 151_336, 151_338],
        ..LLAMA
    },
    rope: RopeRules {
        partial: 0.5,
        whole_heads: false,
        ..LLAMA_ROPE
    },
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let base = sizes.llama();
    Ok(Layout {
        names: ModuleNames {
            gate_up: Some("mlp.gate_up_proj"),
            after_attention: Some("post_self_attn_layernorm"),
            after_mlp: Some("post_mlp_layernorm"),
            ..NAMES
        },
        attention: AttentionLayout {
            pairs: Pairs::Interleaved,
            ..base.attention
        },
        biases: Biases {
            query_key_value: top.switch_or("attention_bias", true)?,
            ..Biases::default()
        },
        ..base
    })
}
