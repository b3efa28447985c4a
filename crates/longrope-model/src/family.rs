//! The differences between model families: which projections are fused or have biases, and which layers use a sliding
//! window.

use serde_json::Value;

/// The supported model families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Family {
    /// LLaMA 1, 2 and 3, and models with the same architecture.
    Llama,
    /// Mistral: LLaMA with a sliding window in every layer.
    Mistral,
    /// Phi-3, Phi-3.5 and Phi-4-mini: fused projections; part of a head may be left unrotated.
    Phi3,
    /// Qwen2 and Qwen2.5: biases on query, key and value; a sliding window in some layers.
    Qwen2,
}

impl Family {
    /// All families.
    pub const ALL: [Self; 4] = [Self::Llama, Self::Mistral, Self::Phi3, Self::Qwen2];

    /// The `model_type` in its configurations.
    pub fn model_type(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Phi3 => "phi3",
            Self::Qwen2 => "qwen2",
        }
    }

    pub(crate) fn from_model_type(model_type: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|family| family.model_type() == model_type)
    }

    /// Whether query, key and value share one matrix, and gate and up share another.
    pub fn fused_projections(self) -> bool {
        self == Self::Phi3
    }

    /// Short names of the linear maps of attention, which get adapters by default.
    pub fn attention_maps(self) -> &'static [&'static str] {
        if self.fused_projections() {
            &["qkv_proj", "o_proj"]
        } else {
            &["q_proj", "k_proj", "v_proj", "o_proj"]
        }
    }

    /// Whether query, key and value projections have biases even if no key of the configuration says so.
    pub(crate) fn always_has_qkv_bias(self) -> bool {
        self == Self::Qwen2
    }

    /// The sliding window of each layer; `None` for layers where a query sees all earlier tokens.
    ///
    /// A query sees itself and the `window - 1` tokens before it. Mistral and Phi-3 use `sliding_window` in every
    /// layer. Qwen2 uses it only if `use_sliding_window` is true: in the layers that `layer_types` lists or, without
    /// that key, in all layers from `max_window_layers` on.
    pub(crate) fn windows(self, config: &Value, n_layers: usize) -> Vec<Option<usize>> {
        let window = config
            .get("sliding_window")
            .and_then(Value::as_u64)
            .and_then(|window| usize::try_from(window).ok())
            .filter(|window| *window > 0);
        let uses_window = match self {
            Self::Llama => false,
            Self::Mistral | Self::Phi3 => true,
            Self::Qwen2 => config["use_sliding_window"] == true,
        };
        let Some(window) = window.filter(|_| uses_window) else {
            return vec![None; n_layers];
        };
        let first = config.get("max_window_layers").and_then(Value::as_u64);
        let types = config.get("layer_types").and_then(Value::as_array);
        (0..n_layers)
            .map(|layer| {
                let sliding = match (self, types) {
                    (Self::Qwen2, Some(types)) => types
                        .get(layer)
                        .is_some_and(|kind| kind == "sliding_attention"),
                    (Self::Qwen2, None) => first.is_none_or(|first| layer as u64 >= first),
                    _ => true,
                };
                sliding.then_some(window)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn windows_by_family() {
        let config = json!({"sliding_window": 20});
        assert_eq!(Family::Llama.windows(&config, 2), [None, None]);
        assert_eq!(Family::Mistral.windows(&config, 2), [Some(20), Some(20)]);
        assert_eq!(
            Family::Phi3.windows(&json!({"sliding_window": null}), 1),
            [None]
        );
        assert_eq!(Family::Qwen2.windows(&config, 1), [None], "not switched on");
    }

    #[test]
    fn qwen2_has_windows_from_a_layer_on_or_where_it_lists_them() {
        let derived =
            json!({"use_sliding_window": true, "sliding_window": 20, "max_window_layers": 1});
        assert_eq!(
            Family::Qwen2.windows(&derived, 3),
            [None, Some(20), Some(20)]
        );
        let listed = json!({
            "use_sliding_window": true, "sliding_window": 20, "max_window_layers": 1,
            "layer_types": ["sliding_attention", "full_attention", "full_attention"],
        });
        assert_eq!(Family::Qwen2.windows(&listed, 3), [Some(20), None, None]);
    }
}
