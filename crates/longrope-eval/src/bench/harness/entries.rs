//! Scores with their standard errors, by task and for the group of all tasks.

use serde_json::{Map, Value, json};

use super::part::{Part, metric_names};
use crate::bench::kind::Bench;
use crate::bench::score::pooled_stderr;
use crate::stats::{mean, mean_stderr};

/// The scores of the group, if there is one, then those of each task.
pub(super) fn results(bench: Bench, group: Option<&str>, parts: &[Part]) -> Map<String, Value> {
    let mut results = Map::new();
    if let Some(group) = group {
        results.insert(group.to_owned(), group_entry(bench, group, parts));
    }
    for part in parts {
        results.insert(part.name.clone(), part_entry(bench, part));
    }
    results
}

/// The scores of a task.
fn part_entry(bench: Bench, part: &Part) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(part.name));
    entry.insert("alias".to_owned(), json!(part.name));
    entry.insert("sample_len".to_owned(), json!(part.trials.len()));
    for (index, name) in metric_names(bench).into_iter().enumerate() {
        let scores = part.scores(index);
        entry.insert(format!("{name},none"), json!(mean(&scores)));
        entry.insert(
            format!("{name}_stderr,none"),
            stderr_json(mean_stderr(&scores)),
        );
    }
    Value::Object(entry)
}

/// The mean over all questions of a group, with the error pooled over its tasks.
fn group_entry(bench: Bench, name: &str, parts: &[Part]) -> Value {
    let mut entry = Map::new();
    entry.insert("name".to_owned(), json!(name));
    entry.insert("alias".to_owned(), json!(name));
    let n: usize = parts.iter().map(|part| part.trials.len()).sum();
    entry.insert("sample_len".to_owned(), json!(n));
    for (index, metric) in metric_names(bench).into_iter().enumerate() {
        let all: Vec<f64> = parts.iter().flat_map(|part| part.scores(index)).collect();
        let errors: Vec<(f64, usize)> = parts
            .iter()
            .map(|part| {
                let scores = part.scores(index);
                (mean_stderr(&scores).unwrap_or(0.0), scores.len())
            })
            .collect();
        entry.insert(format!("{metric},none"), json!(mean(&all)));
        entry.insert(
            format!("{metric}_stderr,none"),
            stderr_json(pooled_stderr(&errors)),
        );
    }
    Value::Object(entry)
}

/// A standard error; the harness writes `N/A` for one that does not exist.
fn stderr_json(stderr: Option<f64>) -> Value {
    stderr.map_or_else(|| json!("N/A"), Value::from)
}
