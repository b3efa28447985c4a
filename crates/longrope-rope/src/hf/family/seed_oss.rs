//! Seed-OSS, as `SeedOssConfig` reads it: LLaMA with biases.

use super::super::fields::Fields;
use super::super::layout::{Biases, Layout};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "seed_oss",
    defaults: Defaults {
        vocab_size: 155_136,
        intermediate_size: 27_648,
        n_layers: 64,
        n_heads: 80,
        n_kv_heads: Some(8),
        head_dim: Some(128),
        max_context: 524_288,
        bos_token: Some(0),
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    Ok(Layout {
        biases: Biases {
            query_key_value: top.switch_or("attention_bias", true)?,
            output: top.switch("attention_out_bias")?,
            mlp: top.switch("mlp_bias")?,
            head: false,
        },
        ..sizes.llama()
    })
}
