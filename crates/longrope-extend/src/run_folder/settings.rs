//! What a run was begun with, and how that differs from what it is continued with.

use std::collections::BTreeMap;

use longrope_eval::ChangedSetting;
use serde::Serialize;
use serde_json::Value;

use crate::error::Result;

/// Settings that runs of earlier versions did not record. Where one is missing, it is not compared.
const RECORDED_LATER: [&str; 9] = [
    "eval-text",
    "eval.bos",
    "held-out",
    "rope-layers",
    "search-needle",
    "search.init",
    "search.needle-weight",
    "search.profile",
    "tokenizer",
];

/// Names in what a run records that are others than the keys of a configuration.
const KEYS: [(&str, &str); 4] = [
    ("context", "train.context"),
    ("eval-text", "train.eval-text"),
    ("held-out", "pretrain.held-out"),
    ("target_context", "search.target"),
];

/// What a run is begun or continued with.
#[derive(Clone, Debug, Default)]
pub struct RunSettings<'a> {
    /// The settings as text, kept in the folder as `config.toml` (for a recipe, `recipe.toml`).
    pub text: &'a str,
    /// What must be the same for the run to be continued; `Null` if anything may differ.
    pub fixed: Value,
}

/// Settings with different values, each with the saved and the present value, by their keys in a configuration.
///
/// Other names are paths into the values, such as `search.population`. A setting that one side does not have is `none`.
pub(crate) fn differences(
    saved: &impl Serialize,
    now: &impl Serialize,
) -> Result<Vec<ChangedSetting>> {
    let (saved, now) = (flat(saved)?, flat(now)?);
    let mut names: Vec<&String> = saved.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    // A precision is recorded only if it is another one.
    let usual = Value::from("f32");
    let differing = names.into_iter().filter_map(|name| {
        let usual = (name == "precision").then_some(&usual);
        let (saved, now) = (saved.get(name).or(usual), now.get(name).or(usual));
        (saved != now).then(|| ChangedSetting::new(key_of(name), saved, now))
    });
    let mut changes: Vec<ChangedSetting> = differing.collect();
    // Of two records of one key, the one with values says more.
    changes.sort_by(|a, b| (&a.name, a.values.is_none()).cmp(&(&b.name, b.values.is_none())));
    changes.dedup_by(|later, first| later.name == first.name);
    Ok(changes)
}

/// The key of a configuration that sets what has this name.
fn key_of(name: &str) -> &str {
    let known = KEYS.iter().find(|(recorded, _)| *recorded == name);
    known.map_or(name, |(_, key)| *key)
}

/// As [`differences`], between what a run was begun with and what it is continued with.
pub(super) fn changes(saved: &Value, now: &Value) -> Result<Vec<ChangedSetting>> {
    let mut now = now.clone();
    if let Some(now) = now.as_object_mut() {
        now.retain(|name, _| saved.get(name).is_some() || !RECORDED_LATER.contains(&name.as_str()));
    }
    differences(saved, &now)
}

/// As [`differences`], for some settings that are known before the others. Settings that only one side has are left out,
/// and so are empty lists: they may stand for a default.
pub(super) fn changes_of_known(saved: &Value, known: &Value) -> Result<Vec<ChangedSetting>> {
    let (mut saved, mut known) = (flat(saved)?, flat(known)?);
    let is_open = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
    known.retain(|name, value| saved.contains_key(name) && !is_open(value));
    saved.retain(|name, _| known.contains_key(name));
    differences(&saved, &known)
}

/// The values of all nested keys, by path.
fn flat(value: &impl Serialize) -> Result<BTreeMap<String, Value>> {
    let mut values = BTreeMap::new();
    collect("", serde_json::to_value(value)?, &mut values);
    Ok(values)
}

fn collect(path: &str, value: Value, values: &mut BTreeMap<String, Value>) {
    let Value::Object(fields) = value else {
        values.insert(path.to_owned(), value);
        return;
    };
    for (key, value) in fields {
        let path = if path.is_empty() {
            key
        } else {
            format!("{path}.{key}")
        };
        collect(&path, value, values);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(changes: Result<Vec<ChangedSetting>>) -> Vec<String> {
        let changes = changes.unwrap();
        changes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn differences_are_named_with_both_values() {
        let saved =
            json!({"seed": 1, "search": {"population": 8, "parents": 4}, "factors": vec![1.5; 40]});
        let now = json!({"seed": 1, "search": {"population": 16}, "factors": vec![2.5; 40]});
        assert_eq!(texts(differences(&saved, &saved)), [""; 0]);
        assert_eq!(
            texts(differences(&saved, &now)),
            [
                "`factors` is another one",
                "`search.parents` was 4 and is none",
                "`search.population` was 8 and is 16",
            ]
        );
    }

    #[test]
    fn what_an_earlier_version_did_not_record_is_not_compared() {
        let now = json!({"seed": 1, "eval-text": "a", "rope-layers": "full"});
        assert_eq!(texts(changes(&json!({"seed": 1}), &now)), [""; 0]);
        let saved = json!({"seed": 1, "eval-text": "b", "rope-layers": "full"});
        assert_eq!(
            texts(changes(&saved, &now)),
            ["`train.eval-text` was b and is a"]
        );
        // A precision that is not recorded is known.
        let now = json!({"precision": "bf16"});
        assert_eq!(
            texts(changes(&json!({}), &now)),
            ["`precision` was f32 and is bf16"]
        );
        let now = json!({"seed": 1, "eval-text": "a", "rope-layers": "full"});
        // Others are.
        let saved = json!({"eval-text": "a", "rope-layers": "full"});
        assert_eq!(texts(changes(&saved, &now)), ["`seed` was none and is 1"]);
    }

    #[test]
    fn settings_have_the_names_of_keys_and_one_line_each() {
        let run = |context: usize, target: usize, files: &[&str], text: &str| {
            json!({
                "context": context, "target_context": target, "eval-text": text.repeat(64),
                "train": {"context": context, "eval-text": files},
            })
        };
        assert_eq!(
            texts(differences(
                &run(64, 128, &["a.txt"], "a"),
                &run(32, 256, &["b.txt"], "b")
            )),
            [
                "`search.target` was 128 and is 256",
                "`train.context` was 64 and is 32",
                "`train.eval-text` was [\"a.txt\"] and is [\"b.txt\"]",
            ]
        );
    }

    #[test]
    fn settings_that_are_known_early_are_compared_alone() {
        let saved = json!({"seed": 1, "train": {"steps": 8, "targets": [64], "rate": 0.5}});
        let known = |steps: u64| json!({"train": {"steps": steps, "targets": [], "other": 1}});
        assert_eq!(texts(changes_of_known(&saved, &known(8))), [""; 0]);
        assert_eq!(
            texts(changes_of_known(&saved, &known(4))),
            ["`train.steps` was 8 and is 4"]
        );
    }
}
