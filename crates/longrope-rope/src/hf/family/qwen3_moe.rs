//! Qwen3-MoE, as `Qwen3MoeConfig` reads it: Qwen3 with experts.

use super::super::expert_keys::{EXPERTS, LOCAL_EXPERTS};
use super::super::fields::Fields;
use super::super::layout::Layout;
use super::super::windows::{LAYER_TYPES, MAX_WINDOW_LAYERS, USE_SLIDING_WINDOW, every_layer};
use super::qwen2_moe::{MoeDefaults, experts};
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "qwen3_moe",
    defaults: Defaults {
        vocab_size: 151_936,
        hidden_size: 2048,
        intermediate_size: 6144,
        n_layers: 24,
        n_kv_heads: Some(4),
        null_kv_heads: false,
        max_context: 32_768,
        bos_token: None,
        eos_tokens: &[],
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: &["mlp_bias", MAX_WINDOW_LAYERS, LAYER_TYPES],
    windows,
    layout,
};

/// With `use_sliding_window`, a window in every layer.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let is_used = top.switch(USE_SLIDING_WINDOW)?;
    let windows = every_layer(top, sizes, Some(4096))?;
    let used = |window: Option<usize>| window.filter(|_| is_used);
    Ok(windows.into_iter().map(used).collect())
}

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let defaults = MoeDefaults {
        n_experts: 128,
        per_token: 8,
        inner: 768,
    };
    Ok(Layout {
        experts: Some(experts(top, sizes, &[LOCAL_EXPERTS, EXPERTS], defaults)?),
        ..super::qwen3::layout(top, sizes, windows)?
    })
}
