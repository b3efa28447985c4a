//! LLaMA, as `LlamaConfig` reads it.

use super::super::fields::Fields;
use super::super::layout::{Biases, Layout};
use super::super::windows::{LAYER_TYPES, MAX_WINDOW_LAYERS, SLIDING_WINDOW, USE_SLIDING_WINDOW};
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "llama",
    defaults: Defaults {
        whole_heads: true,
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: &[
        SLIDING_WINDOW,
        USE_SLIDING_WINDOW,
        MAX_WINDOW_LAYERS,
        LAYER_TYPES,
    ],
    windows: no_windows,
    layout,
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature that all families share"
)]
pub(super) fn no_windows(_: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    Ok(vec![None; sizes.n_layers])
}

/// LLaMA with the biases that its class has switches for.
pub(super) fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let attention = top.switch("attention_bias")?;
    Ok(Layout {
        biases: Biases {
            query_key_value: attention,
            output: attention,
            mlp: top.switch("mlp_bias")?,
            head: false,
        },
        ..sizes.llama()
    })
}
