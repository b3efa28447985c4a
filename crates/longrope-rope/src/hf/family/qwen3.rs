//! Qwen3, as `Qwen3Config` reads it.

use super::super::fields::Fields;
use super::super::layout::{
    AttentionLayout, Biases, HeadNorm, Layout, NormKind, NormOrder, NormSpan,
};
use super::super::windows::from_a_layer_on;
use super::rules::{Defaults, LLAMA, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "qwen3",
    defaults: Defaults {
        vocab_size: 151_936,
        intermediate_size: 22_016,
        n_kv_heads: Some(32),
        head_dim: Some(128),
        max_context: 32_768,
        bos_token: None,
        eos_tokens: &[],
        ..LLAMA
    },
    rope: RopeRules {
        ..super::qwen2::RULES.rope
    },
    ignored: &["mlp_bias"],
    windows: from_a_layer_on,
    layout,
};

/// A normalization of each head before its rotation.
pub(super) fn per_head(kind: NormKind) -> HeadNorm {
    HeadNorm {
        kind,
        span: NormSpan::Head,
        order: NormOrder::BeforeRotation,
    }
}

pub(super) fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let attention_bias = top.switch("attention_bias")?;
    let base = sizes.llama();
    Ok(Layout {
        attention: AttentionLayout {
            head_norm: Some(per_head(NormKind::Rms)),
            ..base.attention
        },
        biases: Biases::of_attention(attention_bias),
        ..base
    })
}
