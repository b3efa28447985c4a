//! Hunyuan (dense), as `HunYuanDenseV1Config` reads it: queries and keys are normalized after their rotation.

use super::super::fields::Fields;
use super::super::layout::{
    AttentionLayout, Biases, HeadNorm, LLAMA as NAMES, Layout, ModuleNames, NormKind, NormOrder,
    NormSpan,
};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "hunyuan_v1_dense",
    defaults: Defaults {
        vocab_size: 290_943,
        norm_eps: ("rms_norm_eps", 1e-5),
        ..LLAMA
    },
    rope: RopeRules {
        needs_head_dim: true,
        has_alpha: true,
        ..LLAMA_ROPE
    },
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let attention_bias = top.switch("attention_bias")?;
    let base = sizes.llama();
    Ok(Layout {
        names: ModuleNames {
            query_norm: "self_attn.query_layernorm",
            key_norm: "self_attn.key_layernorm",
            ..NAMES
        },
        attention: AttentionLayout {
            head_norm: Some(HeadNorm {
                kind: NormKind::Rms,
                span: NormSpan::Head,
                order: NormOrder::AfterRotation,
            }),
            ..base.attention
        },
        biases: Biases::of_attention(attention_bias),
        ..base
    })
}
