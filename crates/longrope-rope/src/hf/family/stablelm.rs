//! StableLM, as `StableLmConfig` reads it: layer normalizations with biases; a quarter of each head is rotated.

use super::super::fields::Fields;
use super::super::layout::{Biases, LLAMA as NAMES, Layout, ModuleNames, NormKind, Residual};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "stablelm",
    defaults: Defaults {
        vocab_size: 50_304,
        hidden_size: 2560,
        intermediate_size: 6912,
        n_kv_heads: Some(32),
        null_kv_heads: false,
        max_context: 4096,
        norm_eps: ("layer_norm_eps", 1e-5),
        bos_token: Some(0),
        eos_tokens: &[0],
        ..LLAMA
    },
    rope: RopeRules {
        partial: 0.25,
        whole_heads: false,
        ..LLAMA_ROPE
    },
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    const HEAD_NORM: &str = "qk_layernorm";
    if top.switch(HEAD_NORM)? {
        let expected = "false, because a normalization of its own for each head is not supported";
        return Err(top.wrong(HEAD_NORM, expected));
    }
    let is_parallel = top.switch("use_parallel_residual")?;
    let base = sizes.llama();
    Ok(Layout {
        names: ModuleNames {
            before_mlp: NAMES.before_mlp.filter(|_| !is_parallel),
            ..NAMES
        },
        norm: NormKind::Layer { bias: true },
        residual: if is_parallel {
            Residual::Parallel
        } else {
            Residual::Sequential
        },
        biases: Biases {
            query_key_value: top.switch("use_qkv_bias")?,
            ..Biases::default()
        },
        ..base
    })
}
