//! Phi-1, Phi-1.5 and Phi-2, as `PhiConfig` reads it: attention and MLP in parallel; half of each head is rotated.

use super::super::fields::Fields;
use super::super::layout::{
    AttentionLayout, Biases, LLAMA as NAMES, Layout, MlpKind, MlpLayout, ModuleNames, NormKind,
    Residual,
};
use super::llama::no_windows;
use super::qwen3::per_head;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, RopeRules, Rules, Sizes, Windows};
use crate::Result;

const NORM: NormKind = NormKind::Layer { bias: true };

pub(super) const RULES: Rules = Rules {
    model_type: "phi",
    defaults: Defaults {
        vocab_size: 51_200,
        hidden_size: 2048,
        intermediate_size: 8192,
        n_layers: 24,
        norm_eps: ("layer_norm_eps", 1e-5),
        activation: ("hidden_act", "gelu_new"),
        ..LLAMA
    },
    rope: RopeRules {
        partial: 0.5,
        whole_heads: false,
        ..LLAMA_ROPE
    },
    ignored: super::llama::RULES.ignored,
    windows: no_windows,
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let has_head_norm = top.switch("qk_layernorm")?;
    let base = sizes.llama();
    Ok(Layout {
        names: ModuleNames {
            norm: "final_layernorm",
            output: "self_attn.dense",
            query_norm: "self_attn.q_layernorm",
            key_norm: "self_attn.k_layernorm",
            up: "mlp.fc1",
            down: "mlp.fc2",
            before_mlp: None,
            ..NAMES
        },
        norm: NORM,
        residual: Residual::Parallel,
        attention: AttentionLayout {
            head_norm: has_head_norm.then(|| per_head(NORM)),
            ..base.attention
        },
        mlp: MlpLayout {
            kind: MlpKind::Plain,
            ..base.mlp
        },
        biases: Biases {
            query_key_value: true,
            output: true,
            mlp: true,
            head: true,
        },
        ..base
    })
}
