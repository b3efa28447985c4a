//! The settings that a run used, out of a configuration that has the keys of all verbs.

use toml::{Table, Value};

use super::common_keys::COMMON_KEYS;
use super::data::RunReport;
use crate::show::output;

/// Names and values of the settings of a run, in the order of the file.
pub(super) fn rows(report: &RunReport) -> Vec<[String; 2]> {
    let Some(settings) = &report.settings else {
        return Vec::new();
    };
    let used = match report.kind.as_deref() {
        Some("search") => &["search", "search-needle"][..],
        Some("recover") => &["rope", "contexts", "recover", "search"],
        Some("finetune") => &["rope", "contexts", "train"],
        Some("pretrain") => &["pretrain"],
        // Measurements, and what the stages of a recipe share.
        _ => return flat(settings.iter()),
    };
    let is_used = |key: &str| COMMON_KEYS.contains(&key) || used.contains(&key);
    flat(settings.iter().filter(|(key, _)| is_used(key)))
}

fn flat<'a>(settings: impl Iterator<Item = (&'a String, &'a Value)>) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    for (key, value) in settings {
        add(&mut rows, key, value);
    }
    rows
}

fn add(rows: &mut Vec<[String; 2]>, name: &str, value: &Value) {
    match value {
        Value::Table(table) => add_table(rows, name, table),
        Value::Array(items) if items.iter().any(Value::is_table) => {
            for (number, item) in (1..).zip(items) {
                add(rows, &format!("{name} {number}"), item);
            }
        }
        Value::Array(items) if items.is_empty() => {}
        other => rows.push([name.to_owned(), text(other)]),
    }
}

fn add_table(rows: &mut Vec<[String; 2]>, name: &str, table: &Table) {
    for (key, value) in table {
        add(rows, &format!("{name}.{key}"), value);
    }
}

/// A value for people: without quotes, and with digits that mean something.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Float(number) => output::significant(*number),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(kind: &str, settings: &str) -> Vec<[String; 2]> {
        rows(&RunReport {
            kind: Some(kind.to_owned()),
            settings: settings.parse().ok(),
            ..RunReport::default()
        })
    }

    const SETTINGS: &str = "
        model = 'm'
        rope = []
        [train]
        learning-rate = 0.00005000000000000004
        [search]
        target = 64
        samples = 2
        [pretrain]
        eval-every = 3
        [[pretrain.phases]]
        steps = 4
    ";

    #[test]
    fn only_settings_that_were_used_are_shown_with_few_digits() {
        let row = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
        let model = row("model", "m");
        let rate = row("train.learning-rate", "0.00005");
        assert_eq!(shown("finetune", SETTINGS), [model.clone(), rate]);
        let search = [
            model.clone(),
            row("search.samples", "2"),
            row("search.target", "64"),
        ];
        let mut found = shown("search", SETTINGS);
        found.sort();
        assert_eq!(found, search);
        let pretrain = [
            model,
            row("pretrain.eval-every", "3"),
            row("pretrain.phases 1.steps", "4"),
        ];
        assert_eq!(shown("pretrain", SETTINGS), pretrain);
    }
}
