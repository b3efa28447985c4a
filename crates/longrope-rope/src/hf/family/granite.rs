//! Granite, as `GraniteConfig` reads it: LLaMA with four constant factors.

use super::super::bounds;
use super::super::fields::Fields;
use super::super::layout::{AttentionLayout, Layout, Multipliers};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "granite",
    defaults: Defaults { ..LLAMA },
    rope: LLAMA_ROPE,
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let mut factor = |key| top.number_or(key, &bounds::POSITIVE, 1.0);
    let multipliers = Multipliers {
        embedding: factor("embedding_multiplier")?,
        residual: factor("residual_multiplier")?,
        logits: 1.0 / factor("logits_scaling")?,
    };
    let scale = factor("attention_multiplier")?;
    let base = super::llama::layout(top, sizes, windows)?;
    Ok(Layout {
        attention: AttentionLayout {
            scale,
            ..base.attention
        },
        multipliers,
        ..base
    })
}
