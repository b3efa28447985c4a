//! The keys of a model.

use super::architecture::Architecture;
use super::rope::RopeKeys;
use super::shape::ModelShape;
use crate::format::{Metadata, Value};

/// The keys that state sizes and RoPE. They begin with the name of the architecture.
///
/// Numbers that llama.cpp keeps as f32 are rounded to it.
pub fn model_keys(architecture: Architecture, shape: &ModelShape, rope: &RopeKeys) -> Metadata {
    let mut keys = Keys {
        prefix: architecture.name(),
        list: Metadata::new(),
    };
    keys.count("vocab_size", shape.vocab_size);
    keys.count("context_length", rope.context);
    keys.count("embedding_length", shape.hidden_size);
    keys.count("block_count", shape.n_layers);
    keys.count("feed_forward_length", shape.intermediate_size);
    keys.count("attention.head_count", shape.n_heads);
    keys.count("attention.head_count_kv", shape.n_kv_heads);
    keys.number("attention.layer_norm_rms_epsilon", shape.norm_eps);
    keys.count("attention.key_length", shape.head_dim);
    keys.count("attention.value_length", shape.head_dim);
    if architecture == Architecture::Phi3 {
        // 0 stands for none. llama.cpp does not use windows of this architecture.
        keys.count("attention.sliding_window", 0);
    }
    if architecture == Architecture::Granite {
        let multipliers = &shape.layout.multipliers;
        keys.number("attention.scale", shape.layout.attention.scale);
        keys.number("embedding_scale", multipliers.embedding);
        keys.number("residual_scale", multipliers.residual);
        // Logits are divided by it.
        keys.number("logit_scale", 1.0 / multipliers.logits);
        // Without it, some versions do not rotate.
        keys.add("rope.scaling.finetuned", Value::Bool(true));
    }
    keys.count("rope.dimension_count", shape.rotary_dim);
    keys.number("rope.freq_base", rope.theta);
    if let Some(scale) = rope.linear {
        keys.add("rope.scaling.type", "linear".into());
        keys.number("rope.scaling.factor", scale);
    }
    if let Some(yarn) = &rope.yarn {
        keys.add("rope.scaling.type", "yarn".into());
        keys.number("rope.scaling.factor", yarn.scale);
        keys.count(
            "rope.scaling.original_context_length",
            yarn.original_context,
        );
        keys.number("rope.scaling.attn_factor", yarn.attention);
    }
    if let Some(factors) = &rope.factors {
        keys.add("rope.scaling.type", "longrope".into());
        keys.count("rope.scaling.original_context_length", factors.border);
        keys.number("rope.scaling.attn_factor", factors.attention);
    }
    keys.list
}

struct Keys {
    prefix: &'static str,
    list: Metadata,
}

impl Keys {
    fn add(&mut self, key: &str, value: Value) {
        self.list.push((format!("{}.{key}", self.prefix), value));
    }

    fn count(&mut self, key: &str, value: usize) {
        self.add(key, Value::U32(u32::try_from(value).unwrap_or(u32::MAX)));
    }

    #[expect(clippy::cast_possible_truncation, reason = "llama.cpp keeps f32")]
    fn number(&mut self, key: &str, value: f64) {
        self.add(key, Value::F32(value as f32));
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::read_hf_config;
    use serde_json::json;

    use super::*;
    use crate::RopeFactors;

    #[test]
    fn factors_have_a_type_a_border_and_an_attention_scale() {
        let json = json!({
            "model_type": "llama", "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
            "num_attention_heads": 4, "vocab_size": 100, "max_position_embeddings": 256,
        });
        let config = read_hf_config(&json).unwrap();
        let rope = RopeKeys {
            context: 1024,
            theta: 1e4,
            linear: None,
            yarn: None,
            factors: Some(RopeFactors {
                short: vec![1.0; 8],
                long: vec![2.0; 8],
                border: 256,
                attention: 1.5,
            }),
        };
        let keys = model_keys(Architecture::Llama, &ModelShape::from(&config), &rope);
        let get = |name: &str| {
            let mut found = keys.iter().filter(|(key, _)| key == name);
            found.next().map(|(_, value)| value.clone())
        };
        let expected = [
            ("llama.context_length", Value::U32(1024)),
            ("llama.attention.key_length", Value::U32(16)),
            ("llama.rope.freq_base", Value::F32(1e4)),
            ("llama.rope.scaling.type", "longrope".into()),
            (
                "llama.rope.scaling.original_context_length",
                Value::U32(256),
            ),
            ("llama.rope.scaling.attn_factor", Value::F32(1.5)),
        ];
        for (key, value) in expected {
            assert_eq!(get(key), Some(value), "{key}");
        }
        let plain = RopeKeys {
            factors: None,
            ..rope
        };
        let keys = model_keys(Architecture::Llama, &ModelShape::from(&config), &plain);
        assert!(!keys.iter().any(|(key, _)| key.contains("scaling")));
    }
}
