//! Phi-3.5-MoE, as `PhimoeConfig` reads it: experts, layer normalizations with biases.
//!
//! Above the original context, the published code uses the long factors, and so does this crate. transformers 5.24 uses
//! the short factors at every length.

use super::super::bounds;
use super::super::expert_keys::{LOCAL_EXPERTS, PER_TOKEN, n_experts};
use super::super::experts::{Experts, Routing};
use super::super::fields::Fields;
use super::super::layout::{Biases, Layout, NormKind};
use super::super::windows::{LAYER_TYPES, MAX_WINDOW_LAYERS, USE_SLIDING_WINDOW, every_layer};
use super::mixtral::{KIND, ROUTER};
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

/// The class always uses this many experts, whatever its config says.
const USED_EXPERTS: usize = 2;

pub(super) const RULES: Rules = Rules {
    model_type: "phimoe",
    defaults: Defaults {
        vocab_size: 32_064,
        intermediate_size: 6400,
        n_kv_heads: Some(8),
        null_kv_heads: false,
        max_context: 131_072,
        norm_eps: ("rms_norm_eps", 1e-5),
        ..LLAMA
    },
    rope: RopeRules {
        theta: 1e6,
        has_mscales: true,
        short_in_transformers: true,
        ..LLAMA_ROPE
    },
    ignored: &[
        "mlp_bias",
        USE_SLIDING_WINDOW,
        MAX_WINDOW_LAYERS,
        LAYER_TYPES,
    ],
    windows: |top, sizes| every_layer(top, sizes, None),
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let attention_bias = top.switch("attention_bias")?;
    let n_experts = n_experts(top, sizes, &[LOCAL_EXPERTS], 16)?;
    if n_experts < USED_EXPERTS {
        return Err(top.wrong(LOCAL_EXPERTS, "at least 2 experts"));
    }
    if top.count_or(PER_TOKEN, &bounds::EXPERTS, USED_EXPERTS)? != USED_EXPERTS {
        return Err(top.wrong(
            PER_TOKEN,
            "2, because a token of this family always uses two",
        ));
    }
    let jitter = top.number_or("router_jitter_noise", &bounds::NOT_NEGATIVE, 0.01)?;
    Ok(Layout {
        norm: NormKind::Layer { bias: true },
        biases: Biases {
            query_key_value: attention_bias,
            output: attention_bias,
            mlp: false,
            head: top.switch("lm_head_bias")?,
        },
        experts: Some(Experts {
            n_experts,
            per_token: USED_EXPERTS,
            inner: sizes.inner,
            routing: Routing::SparseMixer { jitter },
            router: ROUTER,
            kind: KIND,
            shared: None,
            layers: vec![true; sizes.n_layers],
        }),
        ..sizes.llama()
    })
}
