//! OLMo 2, as `Olmo2Config` reads it: outputs are normalized instead of inputs, and queries and keys as a whole.

use super::super::fields::Fields;
use super::super::layout::{
    AttentionLayout, Biases, HeadNorm, Layout, NormKind, NormOrder, NormSpan, POST_NORM,
};
use super::llama::no_windows;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "olmo2",
    defaults: Defaults {
        vocab_size: 50_304,
        norm_eps: ("rms_norm_eps", 1e-5),
        bos_token: None,
        eos_tokens: &[50_279],
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

pub(super) fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let attention_bias = top.switch("attention_bias")?;
    let base = sizes.llama();
    Ok(Layout {
        names: POST_NORM,
        attention: AttentionLayout {
            head_norm: Some(HeadNorm {
                kind: NormKind::Rms,
                span: NormSpan::AllHeads,
                order: NormOrder::BeforeRotation,
            }),
            ..base.attention
        },
        biases: Biases::of_attention(attention_bias),
        ..base
    })
}
