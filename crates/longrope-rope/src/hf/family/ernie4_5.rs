//! ERNIE 4.5, as `Ernie4_5Config` reads it: pairs of neighbouring dimensions are rotated.

use super::super::fields::Fields;
use super::super::layout::{AttentionLayout, Biases, Layout, Pairs};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "ernie4_5",
    defaults: Defaults {
        vocab_size: 103_424,
        hidden_size: 1024,
        intermediate_size: 3072,
        n_layers: 18,
        n_heads: 16,
        n_kv_heads: Some(2),
        head_dim: Some(128),
        max_context: 131_072,
        norm_eps: ("rms_norm_eps", 1e-5),
        tied: true,
        ..LLAMA
    },
    rope: RopeRules {
        theta: 500_000.0,
        ..LLAMA_ROPE
    },
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let bias = top.switch("use_bias")?;
    let base = sizes.llama();
    Ok(Layout {
        attention: AttentionLayout {
            pairs: Pairs::Interleaved,
            ..base.attention
        },
        biases: Biases {
            query_key_value: bias,
            output: bias,
            mlp: bias,
            head: false,
        },
        ..base
    })
}
