//! gpt-oss, as `GptOssConfig` reads it: experts, sinks, a sliding window in every other layer.

use super::super::bounds;
use super::super::expert_keys::{EXPERTS, LOCAL_EXPERTS, n_experts, per_token};
use super::super::experts::{ExpertKind, Experts, Router, Routing};
use super::super::fields::Fields;
use super::super::layout::{AttentionLayout, Biases, Layout};
use super::super::windows::{MAX_WINDOW_LAYERS, USE_SLIDING_WINDOW, listed_or, sliding_window};
use super::rules::{ByLayerType, Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

/// The rope of a config that has none.
const MISSING: &str = r#"{"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
    "truncate": false, "original_max_position_embeddings": 4096}"#;

pub(super) const RULES: Rules = Rules {
    model_type: "gpt_oss",
    defaults: Defaults {
        vocab_size: 201_088,
        hidden_size: 2880,
        intermediate_size: 2880,
        n_layers: 36,
        n_heads: 64,
        n_kv_heads: Some(8),
        null_kv_heads: false,
        head_dim: Some(64),
        max_context: 131_072,
        norm_eps: ("rms_norm_eps", 1e-5),
        bos_token: None,
        eos_tokens: &[],
        ..LLAMA
    },
    rope: RopeRules {
        theta: 150_000.0,
        by_layer_type: ByLayerType::Same,
        missing: Some(MISSING),
        ..LLAMA_ROPE
    },
    ignored: &["mlp_bias", USE_SLIDING_WINDOW, MAX_WINDOW_LAYERS],
    windows,
    layout,
};

/// Without a list, every other layer, the first one included.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let window = sliding_window(top, Some(128))?;
    listed_or(top, sizes, window, |layer| layer.is_multiple_of(2))
}

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let attention_bias = top.switch_or("attention_bias", true)?;
    let n_experts = n_experts(top, sizes, &[LOCAL_EXPERTS, EXPERTS], 128)?;
    let base = sizes.llama();
    Ok(Layout {
        attention: AttentionLayout {
            sinks: true,
            ..base.attention
        },
        biases: Biases::of_attention(attention_bias),
        experts: Some(Experts {
            n_experts,
            per_token: per_token(top, n_experts, 4)?,
            inner: sizes.inner,
            routing: Routing::SoftmaxOfChosen,
            router: Router {
                name: "mlp.router",
                bias: true,
            },
            kind: ExpertKind::Stacked {
                gate_up: "mlp.experts.gate_up_proj",
                down: "mlp.experts.down_proj",
                alpha: top.number_or("swiglu_alpha", &bounds::POSITIVE, 1.702)?,
                limit: top.number_or("swiglu_limit", &bounds::POSITIVE, 7.0)?,
            },
            shared: None,
            layers: vec![true; sizes.n_layers],
        }),
        ..base
    })
}
