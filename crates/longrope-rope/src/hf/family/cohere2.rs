//! Cohere 2 (Command R7B), as `Cohere2Config` reads it: attention and MLP in parallel; only layers with a window rotate.

use super::super::bounds;
use super::super::fields::Fields;
use super::super::layout::{
    AttentionLayout, Biases, LLAMA as NAMES, Layout, ModuleNames, Multipliers, NormKind, Pairs,
    Residual,
};
use super::super::windows::{every_nth_full, rotated_in_windows};
use super::rules::{ByLayerType, Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "cohere2",
    defaults: Defaults {
        vocab_size: 256_000,
        hidden_size: 8192,
        intermediate_size: 22_528,
        n_layers: 40,
        n_heads: 64,
        max_context: 8192,
        norm_eps: ("layer_norm_eps", 1e-5),
        tied: true,
        bos_token: Some(5),
        eos_tokens: &[255_001],
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
    let pattern = top.count_or("sliding_window_pattern", &bounds::LAYERS, 4)?;
    every_nth_full(top, sizes, 4096, pattern)
}

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let attention_bias = top.switch("attention_bias")?;
    let base = sizes.llama();
    Ok(Layout {
        names: ModuleNames {
            before_mlp: None,
            ..NAMES
        },
        norm: NormKind::Layer { bias: false },
        residual: Residual::Parallel,
        attention: AttentionLayout {
            pairs: Pairs::Interleaved,
            ..base.attention
        },
        biases: Biases::of_attention(attention_bias),
        multipliers: Multipliers {
            logits: top.number_or("logit_scale", &bounds::POSITIVE, 0.0625)?,
            ..base.multipliers
        },
        rotations: rotated_in_windows(windows),
        ..base
    })
}
