//! The rope sections of a class whose layers with a sliding window have a rope of their own.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::family::Family;
use super::keys::{FULL, ROPE_PARAMETERS, ROPE_SCALING, SLIDING};
use crate::Warning;

const TRUNCATE: &str = "truncate";

/// The parts that such a class makes of both spellings.
///
/// `rope_scaling` is merged into the part of the layers that see all tokens, which keeps its other keys. That part has
/// `rope_type: default` if there is no `rope_parameters`, so `type` alone has no effect there. `truncate` counts beside the
/// parts, not inside them.
pub(crate) struct TwoRopes {
    /// The section that messages name.
    pub(crate) name: &'static str,
    /// The split section, with `truncate` inside its parts.
    pub(super) keys: Map<String, Value>,
    /// Warnings about what does not count.
    pub(super) warnings: Vec<Warning>,
}

impl TwoRopes {
    /// `None` if the class of the config has one rope, if there is no section, or if the class cannot merge its sections.
    pub(crate) fn of(config: &Map<String, Value>) -> Option<Self> {
        if !Family::find(config)?.has_local_rope() {
            return None;
        }
        let section = |name: &str| config.get(name).and_then(Value::as_object);
        let new = section(ROPE_PARAMETERS);
        let Some(old) = section(ROPE_SCALING).filter(|keys| !keys.is_empty()) else {
            let new = new.filter(|keys| !keys.is_empty())?;
            return Some(Self::split(ROPE_PARAMETERS, new.clone()));
        };
        if old.contains_key(FULL) || old.contains_key(SLIDING) {
            return None;
        }
        let (name, mut keys) = match new {
            Some(new) => (ROPE_PARAMETERS, new.clone()),
            None => (ROPE_SCALING, plain()),
        };
        keys.get_mut(FULL)?.as_object_mut()?.extend(old.clone());
        Some(Self::split(name, keys))
    }

    /// A section that is already split.
    pub(super) fn split(name: &'static str, mut keys: Map<String, Value>) -> Self {
        let outer = keys.get(TRUNCATE).cloned();
        let mut warnings = Vec::new();
        let mut has_parts = false;
        for part in [FULL, SLIDING] {
            let Some(inner) = keys.get_mut(part).and_then(Value::as_object_mut) else {
                continue;
            };
            has_parts = true;
            let unused = inner.shift_remove(TRUNCATE);
            if unused.is_some() && rounds(unused.as_ref()) != rounds(outer.as_ref()) {
                let key = if name == ROPE_SCALING {
                    TRUNCATE.to_owned()
                } else {
                    format!("{part}.{TRUNCATE}")
                };
                warnings.push(Warning::UnusedKey { section: name, key });
            }
            if let Some(outer) = &outer {
                inner.insert(TRUNCATE.to_owned(), outer.clone());
            }
        }
        if has_parts {
            keys.shift_remove(TRUNCATE);
        }
        Self {
            name,
            keys,
            warnings,
        }
    }

    /// The part of the layers that see all tokens; empty if there is none.
    pub(crate) fn full(&self) -> &Map<String, Value> {
        static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        let part = self.keys.get(FULL).and_then(Value::as_object);
        part.unwrap_or(&NOTHING)
    }
}

/// The section of a config that has none.
fn plain() -> Map<String, Value> {
    [FULL, SLIDING]
        .map(|part| (part.to_owned(), json!({"rope_type": "default"})))
        .into_iter()
        .collect()
}

/// Whether a value of `truncate` rounds the bounds of YaRN. `null` does not.
fn rounds(value: Option<&Value>) -> bool {
    value.is_none_or(|value| *value == Value::Bool(true))
}
