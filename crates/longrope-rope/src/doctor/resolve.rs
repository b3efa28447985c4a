//! A config whose spellings disagree, as transformers 5 resolves it.

use serde_json::Value;

use crate::hf::{ROPE_PARAMETERS, ROPE_SCALING, THETA};

/// The config with the values that transformers 5 uses: `rope_scaling` before `rope_parameters`, `rope_type` before
/// `type`, and the numbers of the section before those at the top level.
pub(super) fn resolved(config: &Value) -> Value {
    let mut config = config.clone();
    let Some(top) = config.as_object_mut() else {
        return config;
    };
    let holds = |value: Option<&Value>| {
        value
            .and_then(Value::as_object)
            .is_some_and(|section| !section.is_empty())
    };
    let (used, unused) = if holds(top.get(ROPE_SCALING)) {
        (ROPE_SCALING, ROPE_PARAMETERS)
    } else {
        (ROPE_PARAMETERS, ROPE_SCALING)
    };
    if holds(top.get(used)) {
        top.remove(unused);
    }
    let Some(section) = top.get_mut(used).and_then(Value::as_object_mut) else {
        return config;
    };
    if section.contains_key("rope_type") {
        section.remove("type");
    }
    let inner: Vec<&str> = [THETA, "partial_rotary_factor"]
        .into_iter()
        .filter(|key| section.get(*key).is_some_and(Value::is_number))
        .collect();
    for key in inner {
        top.remove(key);
    }
    config
}
