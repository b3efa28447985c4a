//! Mistral, as `MistralConfig` reads it.

use super::super::fields::Fields;
use super::super::layout::Layout;
use super::super::windows::{LAYER_TYPES, MAX_WINDOW_LAYERS, USE_SLIDING_WINDOW, every_layer};
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

/// Keys that Mistral, Phi-3 and StarCoder2 do not read.
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
    ignored: IGNORED,
    windows: |top, sizes| every_layer(top, sizes, Some(4096)),
    layout,
};

#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature that all families share"
)]
pub(super) fn layout(_: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    Ok(sizes.llama())
}
