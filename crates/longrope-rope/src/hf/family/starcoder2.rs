//! StarCoder2, as `Starcoder2Config` reads it: layer normalizations, an MLP without a gate, biases everywhere.

use super::super::fields::Fields;
use super::super::layout::{
    Biases, LLAMA as NAMES, Layout, MlpKind, MlpLayout, ModuleNames, NormKind,
};
use super::super::windows::every_layer;
use super::mistral::IGNORED;
use super::rules::{Defaults, LLAMA, LLAMA_ROPE, Rules, Sizes, Windows};
use crate::Result;

pub(super) const RULES: Rules = Rules {
    model_type: "starcoder2",
    defaults: Defaults {
        vocab_size: 49_152,
        hidden_size: 3072,
        intermediate_size: 12_288,
        n_layers: 30,
        n_heads: 24,
        n_kv_heads: Some(2),
        null_kv_heads: false,
        max_context: 4096,
        norm_eps: ("norm_epsilon", 1e-5),
        activation: ("hidden_act", "gelu_pytorch_tanh"),
        tied: true,
        bos_token: Some(50_256),
        eos_tokens: &[50_256],
        ..LLAMA
    },
    rope: LLAMA_ROPE,
    ignored: IGNORED,
    windows: |top, sizes| every_layer(top, sizes, None),
    layout,
};

fn layout(top: &mut Fields, sizes: &Sizes, _: &Windows) -> Result<Layout> {
    let bias = top.switch_or("use_bias", true)?;
    let base = sizes.llama();
    Ok(Layout {
        names: ModuleNames {
            up: "mlp.c_fc",
            down: "mlp.c_proj",
            ..NAMES
        },
        norm: NormKind::Layer { bias: true },
        mlp: MlpLayout {
            kind: MlpKind::Plain,
            ..base.mlp
        },
        biases: Biases {
            query_key_value: bias,
            output: bias,
            mlp: bias,
            head: false,
        },
        ..base
    })
}
