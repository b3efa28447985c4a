//! What a run was begun with, and how that differs from what it is continued with.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::error::Result;

/// Longest value that a message shows, in characters.
const LONGEST_SHOWN: usize = 60;

/// What a run is begun or continued with.
#[derive(Clone, Debug, Default)]
pub struct RunSettings<'a> {
    /// The settings as text, kept in the folder as `config.toml` (for a recipe, `recipe.toml`).
    pub text: &'a str,
    /// What must be the same for the run to be continued; `Null` if anything may differ.
    pub fixed: Value,
}

/// Settings with different values, each with the saved and the present value.
///
/// Names are paths into the values, such as `search.population`. A setting that one side does not have is `absent`.
pub(crate) fn differences(saved: &impl Serialize, now: &impl Serialize) -> Result<Vec<String>> {
    let (saved, now) = (flat(saved)?, flat(now)?);
    let mut names: Vec<&String> = saved.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let differing = names.into_iter().filter_map(|name| {
        let (saved, now) = (saved.get(name), now.get(name));
        if saved == now {
            return None;
        }
        let text =
            |value: Option<&Value>| value.map_or_else(|| "absent".to_owned(), ToString::to_string);
        let (saved, now) = (text(saved), text(now));
        let is_short = saved.chars().count().max(now.chars().count()) <= LONGEST_SHOWN;
        Some(if is_short {
            format!("`{name}` was {saved} and is {now}")
        } else {
            format!("`{name}` is another one")
        })
    });
    Ok(differing.collect())
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

    #[test]
    fn differences_are_named_with_both_values() {
        let saved =
            json!({"seed": 1, "search": {"population": 8, "parents": 4}, "factors": vec![1.5; 40]});
        let now = json!({"seed": 1, "search": {"population": 16}, "factors": vec![2.5; 40]});
        assert_eq!(differences(&saved, &saved).unwrap(), Vec::<String>::new());
        assert_eq!(
            differences(&saved, &now).unwrap(),
            [
                "`factors` is another one",
                "`search.parents` was 4 and is absent",
                "`search.population` was 8 and is 16",
            ]
        );
    }
}
