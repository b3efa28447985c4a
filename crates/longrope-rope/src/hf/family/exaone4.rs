//! EXAONE 4, as `Exaone4Config` reads it: outputs are normalized; with a `sliding_window`, only layers that have it rotate.

use super::super::bounds;
use super::super::fields::Fields;
use super::super::layout::{AttentionLayout, Layout, NormKind, POST_NORM, Rotation};
use super::super::windows::{every_nth_full, rotated_in_windows, sliding_window};
use super::qwen3::per_head;
use super::rules::{ByLayerType, Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

/// The default of `sliding_window`.
const WINDOW: usize = 4096;

pub(super) const RULES: Rules = Rules {
    model_type: "exaone4",
    defaults: Defaults {
        vocab_size: 102_400,
        intermediate_size: 16_384,
        n_kv_heads: Some(32),
        null_kv_heads: false,
        norm_eps: ("rms_norm_eps", 1e-5),
        bos_token: Some(0),
        ..LLAMA
    },
    rope: RopeRules {
        by_layer_type: ByLayerType::Same,
        ..LLAMA_ROPE
    },
    ignored: &[],
    windows,
    layout,
};

/// Without a list, every fourth layer sees all tokens.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    const PATTERN: &str = "sliding_window_pattern";
    // Published configs also have a string here, beside the list that counts.
    let is_text = top.value(PATTERN).is_some_and(serde_json::Value::is_string);
    let pattern = if is_text {
        None
    } else {
        top.count(PATTERN, &bounds::LAYERS)?
    };
    every_nth_full(top, sizes, WINDOW, pattern.unwrap_or(4))
}

/// The key decides which layers rotate, even if `layer_types` has no layer with a window: then none rotates.
fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let has_window = sliding_window(top, Some(WINDOW))?.is_some();
    let base = sizes.llama();
    Ok(Layout {
        names: POST_NORM,
        attention: AttentionLayout {
            head_norm: Some(per_head(NormKind::Rms)),
            ..base.attention
        },
        rotations: if has_window {
            rotated_in_windows(windows)
        } else {
            vec![Rotation::Main; sizes.n_layers]
        },
        ..base
    })
}
