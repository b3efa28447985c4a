//! A small model, and ropes for it.

use longrope_rope::{
    AttentionScale, FactorSet, HfRope, RescaleFactors, RopeScaling, RopeSpec, read_hf_rope,
};
use serde_json::{Value, json};

pub(crate) const SHORT: [f64; 4] = [1.0, 1.0, 1.25, 1.5];
pub(crate) const LONG: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

pub(crate) fn model(entries: Value) -> Value {
    let mut config = json!({"model_type": "llama", "head_dim": 8, "hidden_size": 64, "num_attention_heads": 4,
        "rope_theta": 10000.0, "max_position_embeddings": 1024});
    let Value::Object(entries) = entries else {
        unreachable!()
    };
    config.as_object_mut().unwrap().extend(entries);
    config
}

pub(crate) fn read(entries: Value) -> HfRope {
    read_hf_rope(&model(entries)).unwrap()
}

pub(crate) fn error(entries: Value) -> String {
    read_hf_rope(&model(entries)).unwrap_err().to_string()
}

pub(crate) fn set(max_context: usize, factors: &[f64]) -> FactorSet {
    FactorSet {
        max_context,
        start_tokens: 0,
        factors: RescaleFactors::new(factors.to_vec()).unwrap(),
        attention: None,
    }
}

pub(crate) fn long_rope(sets: Vec<FactorSet>, attention: AttentionScale) -> RopeSpec {
    RopeSpec::new(8, 10_000.0, 256, RopeScaling::LongRope { sets, attention }).unwrap()
}

pub(crate) fn short_and_long() -> RopeSpec {
    long_rope(
        vec![set(256, &SHORT), set(1024, &LONG)],
        AttentionScale::Su {},
    )
}
