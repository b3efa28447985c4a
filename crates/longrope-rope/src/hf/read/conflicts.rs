//! Two rope sections in one config that say different things.

use serde_json::{Map, Value};

use crate::hf::attention::same;
use crate::hf::keys::{ORIGINAL_POSITION, PARTIAL, ROPE_PARAMETERS, ROPE_SCALING, THETA};
use crate::{RopeSpec, Warning};

/// A rope section, as it was read.
pub(super) struct Section {
    pub(super) spec: RopeSpec,
    /// The type by its current name.
    pub(super) rope_type: &'static str,
    pub(super) warnings: Vec<Warning>,
}

/// A section with the keys that it was read from.
#[derive(Clone, Copy)]
pub(super) struct WithKeys<'a> {
    pub(super) section: &'a Section,
    pub(super) keys: &'a Map<String, Value>,
}

/// Longest value that is shown in full, in characters.
const SHOWN: usize = 40;

/// What `rope_parameters` says differently than `rope_scaling`, which is used.
pub(super) fn conflicts(used: WithKeys<'_>, ignored: WithKeys<'_>) -> Vec<Warning> {
    let (used_keys, ignored_keys) = (used.keys, ignored.keys);
    let (used, ignored) = (used.section, ignored.section);
    let mut found = Vec::new();
    let mut say = |key: &str, used: String, ignored: String| {
        found.push(conflict(
            (format!("{ROPE_SCALING}.{key}"), used),
            (format!("{ROPE_PARAMETERS}.{key}"), ignored),
        ));
    };
    let (a, b) = (&used.spec, &ignored.spec);
    if !same(a.theta, b.theta) {
        say(THETA, a.theta.to_string(), b.theta.to_string());
    }
    if a.rotary_dim != b.rotary_dim {
        let (a, b) = (a.rotary_dim, b.rotary_dim);
        say(
            PARTIAL,
            format!("{a} dimensions"),
            format!("{b} dimensions"),
        );
    }
    if used.rope_type != ignored.rope_type {
        say(
            "rope_type",
            used.rope_type.to_owned(),
            ignored.rope_type.to_owned(),
        );
        return found;
    }
    if a.original_context != b.original_context {
        let (a, b) = (a.original_context, b.original_context);
        say(ORIGINAL_POSITION, a.to_string(), b.to_string());
    }
    let told = ["type", "rope_type", THETA, PARTIAL, ORIGINAL_POSITION];
    let only_used = used_keys
        .keys()
        .filter(|key| !ignored_keys.contains_key(*key));
    for key in ignored_keys.keys().chain(only_used) {
        let (used, ignored) = (used_keys.get(key), ignored_keys.get(key));
        if !told.contains(&key.as_str()) && !equal(used, ignored) {
            say(key, shown(used), shown(ignored));
        }
    }
    found
}

/// A warning that one of two values is used.
pub(super) fn conflict(used: (String, String), ignored: (String, String)) -> Warning {
    Warning::Conflict {
        used: used.0,
        used_value: used.1,
        ignored: ignored.0,
        ignored_value: ignored.1,
    }
}

/// Whether two values are equal; 4 is equal to 4.0.
fn equal(a: Option<&Value>, b: Option<&Value>) -> bool {
    let number = |value: Option<&Value>| value.and_then(Value::as_f64);
    match (number(a), number(b)) {
        (Some(a), Some(b)) => same(a, b),
        _ => a == b,
    }
}

fn shown(value: Option<&Value>) -> String {
    let Some(value) = value else {
        return "nothing".to_owned();
    };
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    let start: String = text.chars().take(SHOWN).collect();
    format!("{start}..")
}
