//! Qwen2-MoE, as `Qwen2MoeConfig` reads it: Qwen2 with experts, and one that all tokens share.

use super::super::bounds;
use super::super::expert_keys::{EXPERTS, LLAMA_EXPERTS, n_experts, per_token, sparse_layers};
use super::super::experts::{Experts, Router, Routing, SharedExpert};
use super::super::fields::Fields;
use super::super::layout::{Biases, Layout};
use super::super::windows::{MAX_WINDOW_LAYERS, USE_SLIDING_WINDOW, listed_or, sliding_window};
use super::rules::{ByLayerType, Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "qwen2_moe",
    defaults: Defaults {
        vocab_size: 151_936,
        hidden_size: 2048,
        intermediate_size: 5632,
        n_layers: 24,
        n_heads: 16,
        n_kv_heads: Some(16),
        null_kv_heads: false,
        max_context: 32_768,
        bos_token: None,
        eos_tokens: &[],
        ..LLAMA
    },
    rope: RopeRules {
        by_layer_type: ByLayerType::Same,
        ..LLAMA_ROPE
    },
    ignored: &["attention_bias", "mlp_bias"],
    windows,
    layout,
};

/// Without a list, every other layer below `max_window_layers`, the first one included.
fn windows(top: &mut Fields, sizes: &Sizes) -> Result<Windows> {
    let is_used = top.switch(USE_SLIDING_WINDOW)?;
    let window = sliding_window(top, Some(4096))?.filter(|_| is_used);
    let end = top.count_or(MAX_WINDOW_LAYERS, &bounds::FIRST_LAYER, 28)?;
    let slides = |layer: usize| layer.is_multiple_of(2) && layer < end;
    listed_or(top, sizes, window, slides)
}

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let shared = SharedExpert {
        inner: top.count_or("shared_expert_intermediate_size", &bounds::WIDE, 5632)?,
        gate: "mlp.shared_expert.gate_proj",
        up: "mlp.shared_expert.up_proj",
        down: "mlp.shared_expert.down_proj",
        weight: "mlp.shared_expert_gate",
    };
    let defaults = MoeDefaults {
        n_experts: 60,
        per_token: 4,
        inner: 1408,
    };
    Ok(Layout {
        experts: Some(Experts {
            shared: Some(shared),
            ..experts(top, sizes, &[EXPERTS], defaults)?
        }),
        biases: Biases {
            query_key_value: top.switch_or("qkv_bias", true)?,
            ..Biases::default()
        },
        ..sizes.llama()
    })
}

/// What a configuration class of Qwen assumes about experts where there is no key.
#[derive(Clone, Copy)]
pub(super) struct MoeDefaults {
    pub(super) n_experts: usize,
    pub(super) per_token: usize,
    pub(super) inner: usize,
}

/// The experts of Qwen2-MoE and Qwen3-MoE.
pub(super) fn experts(
    top: &mut Fields,
    sizes: &Sizes,
    keys: &[&'static str],
    defaults: MoeDefaults,
) -> Result<Experts> {
    let n_experts = n_experts(top, sizes, keys, defaults.n_experts)?;
    Ok(Experts {
        n_experts,
        per_token: per_token(top, n_experts, defaults.per_token)?,
        inner: top.count_or("moe_intermediate_size", &bounds::WIDE, defaults.inner)?,
        routing: Routing::Softmax {
            normalized: top.switch("norm_topk_prob")?,
        },
        router: Router {
            name: "mlp.gate",
            bias: false,
        },
        kind: LLAMA_EXPERTS,
        shared: None,
        layers: sparse_layers(top, sizes)?,
    })
}
