//! What the file of a family consists of.

use serde_json::{Map, Value};

use crate::Result;

use super::super::activation::Activation;
use super::super::fields::Fields;
use super::super::layout::Layout;

/// A family: how its configuration class reads `config.json`, and what its decoder computes.
pub(in crate::hf) struct Rules {
    /// The `model_type` in its configs.
    pub(in crate::hf) model_type: &'static str,
    /// The defaults of its class.
    pub(in crate::hf) defaults: Defaults,
    /// How it reads the rope.
    pub(in crate::hf) rope: RopeRules,
    /// Keys that have a meaning in other families only.
    pub(in crate::hf) ignored: &'static [&'static str],
    /// The sliding window of each layer.
    pub(in crate::hf) windows: fn(&mut Fields, &Sizes) -> Result<Windows>,
    /// The parts of the decoder, given the windows.
    pub(in crate::hf) layout: fn(&mut Fields, &Sizes, &Windows) -> Result<Layout>,
}

/// The sliding window of each layer in tokens; `None` for layers where a query sees all earlier tokens.
pub(in crate::hf) type Windows = Vec<Option<usize>>;

/// The sizes that have been read when windows and layout are.
#[derive(Clone, Copy)]
pub(in crate::hf) struct Sizes {
    pub(in crate::hf) hidden: usize,
    /// `intermediate_size`.
    pub(in crate::hf) inner: usize,
    pub(in crate::hf) n_layers: usize,
    pub(in crate::hf) head_dim: usize,
    pub(in crate::hf) activation: Activation,
}

impl Sizes {
    /// The layout of LLaMA in this size.
    pub(super) fn llama(&self) -> Layout {
        Layout::llama(self.n_layers, self.head_dim, self.activation)
    }
}

/// What a configuration class assumes where `config.json` has no key.
#[derive(Clone, Copy)]
pub(in crate::hf) struct Defaults {
    pub(in crate::hf) vocab_size: usize,
    pub(in crate::hf) hidden_size: usize,
    pub(in crate::hf) intermediate_size: usize,
    pub(in crate::hf) n_layers: usize,
    pub(in crate::hf) n_heads: usize,
    /// `None`: as many as query heads.
    pub(in crate::hf) n_kv_heads: Option<usize>,
    /// Whether `num_key_value_heads` may be `null`, which means as many as query heads.
    pub(in crate::hf) null_kv_heads: bool,
    /// `None`: `hidden_size` / `num_attention_heads`.
    pub(in crate::hf) head_dim: Option<usize>,
    /// Whether `hidden_size` must be a multiple of `num_attention_heads`.
    pub(in crate::hf) whole_heads: bool,
    pub(in crate::hf) max_context: usize,
    /// Key and default of the constant in normalizations.
    pub(in crate::hf) norm_eps: (&'static str, f64),
    /// Key and default of the activation.
    pub(in crate::hf) activation: (&'static str, &'static str),
    pub(in crate::hf) tied: bool,
    pub(in crate::hf) bos_token: Option<u32>,
    pub(in crate::hf) eos_tokens: &'static [u32],
}

/// The defaults of `LlamaConfig`.
pub(super) const LLAMA: Defaults = Defaults {
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    n_layers: 32,
    n_heads: 32,
    n_kv_heads: None,
    null_kv_heads: true,
    head_dim: None,
    whole_heads: false,
    max_context: 2048,
    norm_eps: ("rms_norm_eps", 1e-6),
    activation: ("hidden_act", "silu"),
    tied: false,
    bos_token: Some(1),
    eos_tokens: &[2],
};

/// How a configuration class reads the rope.
#[derive(Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an independent property of a class"
)]
pub(in crate::hf) struct RopeRules {
    /// The default of `rope_theta`.
    pub(in crate::hf) theta: f64,
    /// The default of `partial_rotary_factor`.
    pub(in crate::hf) partial: f64,
    /// Whether whole heads are rotated when there is no scaling, whatever `partial_rotary_factor` says.
    pub(in crate::hf) whole_heads: bool,
    /// `original_max_position_embeddings` of a config that has none; the class has this key at the top level only.
    pub(in crate::hf) original_context: Option<usize>,
    /// Whether the class loads no scaling but longrope, for which `yarn` is an old name there, and transformers 4 only three keys
    /// of it.
    pub(in crate::hf) only_long_rope: bool,
    /// Whether the class needs `head_dim` in the config as soon as the rope is scaled.
    pub(in crate::hf) needs_head_dim: bool,
    /// Whether `alpha` of the type `dynamic` raises the base once and for all.
    pub(in crate::hf) has_alpha: bool,
    /// Whether `short_mscale` and `long_mscale` are needed and replace the attention factor.
    pub(in crate::hf) has_mscales: bool,
    /// Whether a model with a larger context than the original one uses the long factors at every length.
    pub(in crate::hf) always_long: bool,
    /// Whether transformers 5.24 uses the short factors at every length, unlike the code that was published with the model.
    pub(in crate::hf) short_in_transformers: bool,
    /// What parts by kind of layer mean.
    pub(in crate::hf) by_layer_type: ByLayerType,
    /// Keys in the section that have another meaning.
    pub(in crate::hf) other_keys: &'static [&'static str],
    /// The section of a config that has none, as JSON.
    pub(in crate::hf) missing: Option<&'static str>,
}

impl RopeRules {
    /// The section of a config that has none.
    pub(in crate::hf) fn missing_section(&self) -> Map<String, Value> {
        let read = |text| serde_json::from_str(text).ok();
        self.missing.and_then(read).unwrap_or_default()
    }
}

/// What `full_attention` and `sliding_attention` in a rope section mean.
#[derive(Clone, Copy, PartialEq)]
pub(in crate::hf) enum ByLayerType {
    /// Nothing.
    Ignored,
    /// The class reads them, but all layers share one rope, so they must agree.
    Same,
    /// Layers with a window have a rope of their own, without scaling: its base is that of a key at the top level, else
    /// this default.
    Local {
        key: Option<&'static str>,
        theta: f64,
    },
}

/// The rope of `LlamaConfig`.
pub(super) const LLAMA_ROPE: RopeRules = RopeRules {
    theta: 10_000.0,
    partial: 1.0,
    whole_heads: true,
    original_context: None,
    only_long_rope: false,
    needs_head_dim: false,
    has_alpha: false,
    has_mscales: false,
    always_long: false,
    short_in_transformers: false,
    by_layer_type: ByLayerType::Ignored,
    other_keys: &[],
    missing: None,
};
