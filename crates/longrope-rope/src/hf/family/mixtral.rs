//! Mixtral, as `MixtralConfig` reads it: Mistral with experts in every layer.

use super::super::expert_keys::{EXPERTS, LOCAL_EXPERTS, n_experts, per_token};
use super::super::experts::{ExpertKind, Experts, Router, Routing};
use super::super::fields::Fields;
use super::super::layout::Layout;
use super::super::windows::every_layer;
use super::mistral::IGNORED;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

/// Experts and their router in the files of Mixtral and Phi-3.5-MoE.
pub(super) const KIND: ExpertKind = ExpertKind::Separate {
    list: "block_sparse_moe.experts",
    gate: "w1",
    up: "w3",
    down: "w2",
};
pub(super) const ROUTER: Router = Router {
    name: "block_sparse_moe.gate",
    bias: false,
};

pub(super) const RULES: Rules = Rules {
    model_type: "mixtral",
    defaults: Defaults {
        intermediate_size: 14_336,
        n_kv_heads: Some(8),
        null_kv_heads: false,
        max_context: 131_072,
        norm_eps: ("rms_norm_eps", 1e-5),
        ..LLAMA
    },
    rope: RopeRules {
        theta: 1e6,
        needs_head_dim: true,
        ..LLAMA_ROPE
    },
    ignored: IGNORED,
    windows: |top, sizes| every_layer(top, sizes, None),
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let n_experts = n_experts(top, sizes, &[LOCAL_EXPERTS, EXPERTS], 8)?;
    Ok(Layout {
        experts: Some(Experts {
            n_experts,
            per_token: per_token(top, n_experts, 2)?,
            inner: sizes.inner,
            routing: Routing::Softmax { normalized: true },
            router: ROUTER,
            kind: KIND,
            shared: None,
            layers: vec![true; sizes.n_layers],
        }),
        ..sizes.llama()
    })
}
