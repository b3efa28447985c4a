//! How the trials of an interrupted evaluation differ from those that it would be continued with.

use serde_json::Value;

use crate::changed_setting::{ChangedSetting, shown};
use crate::changes::HowMeasured;

/// Parts of the [key](crate::EvalState::key) of trials, and what they are called.
const PARTS: [(&str, &str); 3] = [("task", "task"), ("rope", "rope"), ("context", "contexts")];

/// How the trials with the `saved` [keys](crate::EvalState::key) differ from those with the `keys` of now: everything that
/// differs for any of them.
pub(crate) fn key_changes(saved: &[&Value], keys: &[Value]) -> Vec<ChangedSetting> {
    if keys.is_empty() {
        return Vec::new();
    }
    let parts = PARTS.iter();
    let mut changes: Vec<ChangedSetting> = parts
        .filter_map(|(part, name)| part_change(part, name, saved, keys))
        .collect();
    let others = saved.iter().filter(|saved| !keys.contains(saved));
    let pairs = others.filter_map(|saved| Some((*saved, nearest(saved, keys)?)));
    // Settings may depend on the context: others say them only where there is none at the same.
    let is_at_same = |saved: &Value, now: &Value| saved.get("context") == now.get("context");
    let has_same = |task: Option<&Value>| {
        let mut of_task = saved.iter().filter(|saved| saved.get("task") == task);
        of_task.any(|saved| nearest(saved, keys).is_some_and(|now| is_at_same(saved, now)))
    };
    for (saved, now) in pairs {
        if !is_at_same(saved, now) && has_same(saved.get("task")) {
            continue;
        }
        let of_settings = HowMeasured::of_key(saved).changes(&HowMeasured::of_key(now));
        for change in of_settings.into_iter().chain(other_factors(saved, now)) {
            if !changes.iter().any(|known| known.name == change.name) {
                changes.push(change);
            }
        }
    }
    changes
}

/// The change of a part of keys, with all its values; `None` if those of now have every saved one.
fn part_change(part: &str, name: &str, saved: &[&Value], keys: &[Value]) -> Option<ChangedSetting> {
    let before = distinct(saved.iter().map(|key| shown(key.get(part))));
    let now = distinct(keys.iter().map(|key| shown(key.get(part))));
    if before.iter().all(|value| now.contains(value)) {
        return None;
    }
    let [before, now] = [before, now].map(|values| Value::from(values.join(", ")));
    Some(ChangedSetting::new(name, Some(&before), Some(&now)))
}

/// The values in order, each once.
fn distinct(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut found = Vec::new();
    for value in values {
        if !found.contains(&value) {
            found.push(value);
        }
    }
    found
}

/// The first key of now that has the most in common with a saved one; `None` if none is of its task, as another task has
/// other settings.
fn nearest<'k>(saved: &Value, keys: &'k [Value]) -> Option<&'k Value> {
    let is_same = |key: &Value, part: &str| key.get(part) == saved.get(part);
    let of_task = keys.iter().rev().filter(|key| is_same(key, "task"));
    of_task.max_by_key(|key| (is_same(key, "rope"), is_same(key, "context")))
}

/// The change of the factors behind a name; `None` if there is none. Methods are scaled for each context.
fn other_factors(saved: &Value, now: &Value) -> Option<ChangedSetting> {
    let is_same = |part: &str| saved.get(part) == now.get(part);
    let is_changed = is_same("rope") && is_same("context") && !is_same("spec");
    is_changed.then(|| ChangedSetting {
        name: format!("rope {}", shown(saved.get("rope"))),
        values: None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_nearest_key_says_what_changed() {
        let key = |seed: u64, context: usize, rope: &str| {
            json!({ "task": "needle", "seed": seed, "context": context, "rope": rope, "spec": {},
                    "settings": { "prompt": "a".repeat(100 + context) } })
        };
        let of_all = |saved: &[&Value], keys: &[Value]| -> Vec<String> {
            let changes = key_changes(saved, keys);
            changes.iter().map(ToString::to_string).collect()
        };
        let changes = |saved: &Value, keys: &[Value]| of_all(&[saved], keys);
        let saved = key(42, 256, "yarn");
        assert_eq!(
            changes(&saved, &[key(3, 512, "yarn"), key(3, 256, "yarn")]),
            ["`seed` was 42 and is 3"]
        );
        assert_eq!(
            changes(&saved, &[key(42, 512, "yarn"), key(42, 1024, "yarn")]),
            [
                "`contexts` was 256 and is 512, 1024",
                "`needle.prompt` is another one"
            ]
        );
        assert_eq!(
            changes(&saved, &[key(42, 256, "pi"), key(42, 512, "pi")]),
            ["`rope` was yarn and is pi"]
        );
        let mut other = saved.clone();
        other["spec"] = json!(1);
        other["settings"]["prompt"] = json!("b");
        assert_eq!(
            changes(&saved, &[other]),
            [
                "`needle.prompt` is another one",
                "`rope yarn` is another one"
            ]
        );
        assert_eq!(changes(&json!(1), &[]), [""; 0]);
        // All that were saved are compared, whatever differs for the first of them.
        let all = [128, 256, 300].map(|context| key(42, context, "yarn"));
        let all: Vec<&Value> = all.iter().collect();
        let now = |seed, contexts: [usize; 2]| contexts.map(|context| key(seed, context, "yarn"));
        assert_eq!(
            of_all(&all, &now(7, [128, 400])),
            [
                "`contexts` was 128, 256, 300 and is 128, 400",
                "`seed` was 42 and is 7"
            ]
        );
        assert_eq!(
            of_all(&all, &now(42, [256, 128])),
            ["`contexts` was 128, 256, 300 and is 256, 128"]
        );
        let both = [all[0].clone(), key(42, 128, "pi")];
        let both: Vec<&Value> = both.iter().collect();
        assert_eq!(
            of_all(&both, &[key(42, 128, "yarn")]),
            ["`rope` was yarn, pi and is yarn"]
        );
    }
}
