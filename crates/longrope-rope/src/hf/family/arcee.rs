//! Arcee (AFM), as `ArceeConfig` reads it: LLaMA with an MLP without a gate.

use super::super::fields::Fields;
use super::super::layout::{Layout, MlpKind, MlpLayout};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "arcee",
    defaults: Defaults {
        hidden_size: 2560,
        intermediate_size: 18_432,
        max_context: 4096,
        norm_eps: ("rms_norm_eps", 1e-5),
        activation: ("hidden_act", "relu2"),
        bos_token: Some(128_000),
        eos_tokens: &[128_001],
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, windows: &Windows) -> Result<Layout> {
    let base = super::llama::layout(top, sizes, windows)?;
    Ok(Layout {
        mlp: MlpLayout {
            kind: MlpKind::Plain,
            ..base.mlp
        },
        ..base
    })
}
