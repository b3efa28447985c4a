//! The keys that a written rope changes.

use serde_json::{Map, Value};

use crate::hf::family::{ByLayerType, Family};
use crate::hf::keys::{
    HEAD_DIM, LENGTHS, MAX_POSITION, MODEL_TYPE, ORIGINAL_POSITION, PARTIAL, ROPE_PARAMETERS,
    ROPE_SCALING, THETA,
};
use crate::hf::nested::{TEXT, is_nested};

const KEYS: [&str; 7] = [
    MAX_POSITION,
    ORIGINAL_POSITION,
    PARTIAL,
    THETA,
    ROPE_SCALING,
    ROPE_PARAMETERS,
    HEAD_DIM,
];

/// The part of a written config that the config of the same model needs to have its rope: all keys that
/// [`write_hf_rope`](crate::write_hf_rope) may have written. Those of a language model inside another are in its section,
/// of which they are a part.
pub fn hf_rope_keys(config: &Map<String, Value>) -> Map<String, Value> {
    if is_nested(config)
        && let Some(Value::Object(text)) = config.get(TEXT)
    {
        let mut keys = hf_rope_keys(text);
        if let Some(model_type) = text.get(MODEL_TYPE) {
            keys.insert(MODEL_TYPE.to_owned(), model_type.clone());
        }
        return Map::from_iter([(TEXT.to_owned(), Value::Object(keys))]);
    }
    let family = Family::find(config);
    let local = match family.map(|family| family.rules().rope.by_layer_type) {
        Some(ByLayerType::Local { key, .. }) => key,
        _ => None,
    };
    let names = KEYS.iter().chain(&LENGTHS).copied().chain(local);
    names
        .filter_map(|name| Some((name.to_owned(), config.get(name)?.clone())))
        .collect()
}
