//! InternLM3, as the configuration published with it reads it: LLaMA with other switches for its biases.

use super::super::fields::Fields;
use super::super::layout::{Biases, Layout};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "internlm3",
    defaults: Defaults {
        vocab_size: 128_512,
        n_kv_heads: Some(2),
        max_context: 32_768,
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let bias = top.switch("bias")?;
    Ok(Layout {
        biases: Biases {
            query_key_value: top.switch("qkv_bias")?,
            output: bias,
            mlp: bias,
            head: false,
        },
        ..sizes.llama()
    })
}
