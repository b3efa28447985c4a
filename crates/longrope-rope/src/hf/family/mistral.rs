//! Mistral, as `MistralConfig` reads it.

use super::super::fields::Fields;
use super::super::layout::Layout;
use super::super::windows::{
    LAYER_TYPES, MAX_WINDOW_LAYERS, USE_SLIDING_WINDOW, listed_or, sliding_window,
};
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

/// Keys that Phi-3, StarCoder2 and Ministral 3 do not read.
pub(super) const IGNORED: &[&str] = &[
    "attention_bias",
    "mlp_bias",
    USE_SLIDING_WINDOW,
    MAX_WINDOW_LAYERS,
    LAYER_TYPES,
];

pub(super) const RULES: Rules = Rules {
    model_type: "mistral",
    defaults: Defaults {
        intermediate_size: 14_336,
        n_kv_heads: Some(8),
        null_kv_heads: false,
        max_context: 131_072,
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: &[
        "attention_bias",
        "mlp_bias",
        USE_SLIDING_WINDOW,
        MAX_WINDOW_LAYERS,
    ],
    windows,
    layout,
};

/// A window in every layer, or in those that `layer_types` lists: `AutoConfig` reads a config with that key as Ministral.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let window = sliding_window(top, Some(4096))?;
    listed_or(top, sizes, window, |_| true)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature that all families share"
)]
pub(super) fn layout(_: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    Ok(sizes.llama())
}
