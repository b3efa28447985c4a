//! Gemma 3, as `Gemma3TextConfig` reads it: Gemma 2 with normalized queries and keys, and two ropes.

use super::super::bounds;
use super::super::fields::Fields;
use super::super::layout::{Layout, NormKind};
use super::super::windows::{every_nth_full, local_in_windows};
use super::gemma2::{DEFAULTS, shared, softcap};
use super::qwen3::per_head;
use super::rules::{ByLayerType, Defaults, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "gemma3_text",
    defaults: Defaults {
        vocab_size: 262_208,
        max_context: 131_072,
        ..DEFAULTS
    },
    rope: RopeRules {
        theta: 1_000_000.0,
        by_layer_type: ByLayerType::Local {
            key: Some("rope_local_base_freq"),
            theta: 10_000.0,
        },
        ..LLAMA_ROPE
    },
    ignored: &["attn_logit_softcapping"],
    windows,
    layout,
};

/// Without a list, every sixth layer sees all tokens.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let pattern = top.count_or("sliding_window_pattern", &bounds::LAYERS, 6)?;
    every_nth_full(top, sizes, 4096, pattern)
}

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let mut base = shared(top, sizes)?;
    base.attention.head_norm = Some(per_head(NormKind::RmsPlusOne));
    base.logit_softcap = softcap(top, "final_logit_softcapping", None)?;
    base.rotations = local_in_windows(windows);
    Ok(base)
}
