//! Gemma 2, as `Gemma2Config` reads it: four normalizations per layer, soft caps, a window in every other layer.

use super::super::bounds;
use super::super::fields::Fields;
use super::super::layout::{
    AttentionLayout, Biases, LLAMA as NAMES, Layout, ModuleNames, Multipliers, NormKind,
};
use super::super::windows::{listed_or, sliding_window};
use super::rules::{ByLayerType, Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

/// The defaults that Gemma 2 and 3 share.
pub(super) const DEFAULTS: Defaults = Defaults {
    vocab_size: 256_000,
    hidden_size: 2304,
    intermediate_size: 9216,
    n_layers: 26,
    n_heads: 8,
    n_kv_heads: Some(4),
    null_kv_heads: false,
    head_dim: Some(256),
    max_context: 8192,
    activation: ("hidden_activation", "gelu_pytorch_tanh"),
    tied: true,
    bos_token: Some(2),
    eos_tokens: &[1],
    ..LLAMA
};

pub(super) const RULES: Rules = Rules {
    model_type: "gemma2",
    defaults: DEFAULTS,
    rope: RopeRules {
        by_layer_type: ByLayerType::Same,
        ..LLAMA_ROPE
    },
    ignored: &[],
    windows,
    layout,
};

/// Without a list, the first layer and every second one after it have a window.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let window = sliding_window(top, Some(4096))?;
    listed_or(top, sizes, window, |layer| layer.is_multiple_of(2))
}

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let mut base = shared(top, sizes)?;
    base.attention.softcap = softcap(top, "attn_logit_softcapping", Some(50.0))?;
    base.logit_softcap = softcap(top, "final_logit_softcapping", Some(30.0))?;
    Ok(base)
}

/// A soft cap; `null` is none.
pub(super) fn softcap(
    top: &mut Fields,
    key: &'static str,
    default: Option<f64>,
) -> Result<Option<f64>> {
    let written = top.number(key, &bounds::POSITIVE)?;
    Ok(if top.has(key) { written } else { default })
}

/// What Gemma 2 and 3 have in common.
pub(super) fn shared(top: &mut Fields, sizes: &Sizes) -> Result<Layout> {
    const BOTH_WAYS: &str = "use_bidirectional_attention";
    if top.boolean(BOTH_WAYS)? == Some(true) {
        return Err(top.wrong(
            BOTH_WAYS,
            "false, because a decoder does not see later tokens",
        ));
    }
    let attention_bias = top.switch("attention_bias")?;
    let scalar = top.number_or("query_pre_attn_scalar", &bounds::POSITIVE, 256.0)?;
    let base = sizes.llama();
    Ok(Layout {
        names: ModuleNames {
            after_attention: Some("post_attention_layernorm"),
            before_mlp: Some("pre_feedforward_layernorm"),
            after_mlp: Some("post_feedforward_layernorm"),
            ..NAMES
        },
        norm: NormKind::RmsPlusOne,
        attention: AttentionLayout {
            scale: 1.0 / scalar.sqrt(),
            ..base.attention
        },
        biases: Biases::of_attention(attention_bias),
        multipliers: Multipliers {
            embedding: (sizes.hidden as f64).sqrt(),
            ..base.multipliers
        },
        ..base
    })
}
