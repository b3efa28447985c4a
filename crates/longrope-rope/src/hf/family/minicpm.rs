//! MiniCPM 1, 2 and 4, as the configuration published with them reads it: LLaMA with three constant factors.

use super::super::bounds;
use super::super::fields::Fields;
use super::super::layout::{Layout, Multipliers};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "minicpm",
    defaults: Defaults {
        tied: true,
        ..LLAMA
    },
    rope: RopeRules {
        always_long: true,
        ..LLAMA_ROPE
    },
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let mut factor = |key| top.number_or(key, &bounds::POSITIVE, 1.0);
    let embedding = factor("scale_emb")?;
    let depth = factor("scale_depth")?;
    let base = factor("dim_model_base")?;
    Ok(Layout {
        multipliers: Multipliers {
            embedding,
            residual: depth / (sizes.n_layers as f64).sqrt(),
            logits: base / sizes.hidden as f64,
        },
        ..super::llama::layout(top, sizes, windows)?
    })
}
