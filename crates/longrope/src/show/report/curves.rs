//! The curves of a run for other programs: as CSV, and as event files for `TensorBoard`.

use std::path::Path;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, anyhow};
use longrope_data::write_atomically;
use longrope_trainer::run::records::{Record, total_steps};
use serde_json::{Map, Value};

use super::data::{RunReport, Training};
use crate::failure::Hint;
use crate::show::event_file::{Scalar, event_file};

/// A line of `metrics.jsonl`, and the part of the run that it is of.
struct Line {
    part: String,
    values: Map<String, Value>,
}

/// All lines of the `metrics.jsonl` of a run, with those of its stages if it is a recipe.
///
/// # Errors
/// If there are none.
fn lines(report: &RunReport) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for part in report.parts() {
        let name = if std::ptr::eq(part, report) {
            String::new()
        } else {
            part.name()
        };
        let mut add = |values: Value, total_step: Option<usize>| {
            if let Value::Object(mut values) = values {
                if let Some(step) = total_step {
                    values.insert("total_step".to_owned(), step.into());
                }
                lines.push(Line {
                    part: name.clone(),
                    values,
                });
            }
        };
        for generation in &part.generations {
            add(generation.clone(), None);
        }
        for training in &part.training {
            for (step, record) in total_steps(&training.lines)
                .into_iter()
                .zip(&training.lines)
            {
                // Phases count their steps anew.
                let total = record.phase().map(|_| step);
                add(serde_json::to_value(record)?, total);
            }
        }
    }
    if lines.is_empty() {
        return Err(anyhow!("`{}` has no metrics.jsonl with curves", report.run).context(Hint(
            "search, finetune and pretrain write one; evaluations have results, which are in report.json"
                .to_owned(),
        )));
    }
    Ok(lines)
}

/// The lines as CSV (RFC 4180): one column per key, in the order of their first occurrence. A recipe has a column `stage`.
///
/// # Errors
/// If there are none.
pub(crate) fn csv(report: &RunReport) -> Result<String> {
    let lines = lines(report)?;
    let has_stages = lines.iter().any(|line| !line.part.is_empty());
    let mut columns: Vec<&str> = Vec::new();
    for key in lines.iter().flat_map(|line| line.values.keys()) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
    }
    let mut header: Vec<String> = columns.iter().map(|column| field(column)).collect();
    if has_stages {
        header.insert(0, "stage".to_owned());
    }
    let mut text = header.join(",") + "\n";
    for line in &lines {
        let mut row: Vec<String> = columns
            .iter()
            .map(|column| match line.values.get(*column) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => field(text),
                Some(value) => field(&value.to_string()),
            })
            .collect();
        if has_stages {
            row.insert(0, field(&line.part));
        }
        text.push_str(&row.join(","));
        text.push('\n');
    }
    Ok(text)
}

/// A field of a CSV file, in quotes where it has to be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// Writes one event file for the run, or one per stage, each in a folder of its own. Returns the number of files.
///
/// # Errors
/// If there are no curves, or a file cannot be written.
pub(crate) fn write_events(report: &RunReport, folder: &Path) -> Result<usize> {
    // Refuses a run without curves.
    lines(report)?;
    let mut n_files = 0;
    for part in report.parts() {
        let run = Path::new(&part.run);
        let mut scalars = of_search(part, modified(&run.join("metrics.jsonl")));
        for training in &part.training {
            let end = ["metrics.jsonl", "train/metrics.jsonl"]
                .into_iter()
                .map(|name| modified(&run.join(name)))
                .fold(0.0, f64::max);
            scalars.extend(of_training(training, end));
        }
        if scalars.is_empty() {
            continue;
        }
        let own = if std::ptr::eq(part, report) {
            folder.to_owned()
        } else {
            folder.join(part.name())
        };
        // TensorBoard orders the files of a folder by their names.
        let path = own.join("events.out.tfevents.0.longrope");
        write_atomically(&path, &event_file(&scalars))
            .with_context(|| format!("writing `{}`", path.display()))?;
        n_files += 1;
    }
    Ok(n_files)
}

/// When a file was last written, in seconds since 1970; 0 if that is unknown.
fn modified(path: &Path) -> f64 {
    let modified = fs_err::metadata(path).and_then(|metadata| metadata.modified());
    let since = modified
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0.0, |since| since.as_secs_f64())
}

/// The numbers of every generation. Their times are not recorded: all have that of the end.
fn of_search(part: &RunReport, end: f64) -> Vec<Scalar> {
    let mut scalars = Vec::new();
    for line in part.generations.iter().filter_map(Value::as_object) {
        let step = line.get("generation").and_then(Value::as_u64);
        let Some(step) = step.and_then(|step| usize::try_from(step).ok()) else {
            continue;
        };
        for (key, value) in line.iter().filter(|(key, _)| *key != "generation") {
            scalars.extend(value.as_f64().map(|value| Scalar {
                tag: format!("search/{key}"),
                step,
                wall_time: end,
                value,
            }));
        }
    }
    scalars
}

/// The numbers of every step and measurement, at the time before `end` that the durations of the steps give.
fn of_training(training: &Training, end: f64) -> Vec<Scalar> {
    let secs = |record: &Record| match record {
        Record::Step { elapsed_secs, .. } if elapsed_secs.is_finite() => *elapsed_secs,
        _ => 0.0,
    };
    let total: f64 = training.lines.iter().map(secs).sum();
    let mut wall_time = end - total;
    let mut scalars = Vec::new();
    for (step, record) in total_steps(&training.lines)
        .into_iter()
        .zip(&training.lines)
    {
        wall_time += secs(record);
        scalars.extend(numbers(record).into_iter().map(|(tag, value)| Scalar {
            tag,
            step,
            wall_time,
            value,
        }));
    }
    scalars
}

/// The numbers of a record, with their tags.
fn numbers(record: &Record) -> Vec<(String, f64)> {
    match record {
        Record::Step {
            loss,
            nll_nats,
            distill,
            learning_rate,
            grad_norm,
            tokens_per_second,
            ..
        } => [
            ("loss", Some(loss)),
            ("nll_nats", Some(nll_nats)),
            ("learning_rate", Some(learning_rate)),
            ("grad_norm", Some(grad_norm)),
            ("tokens_per_second", Some(tokens_per_second)),
            ("distill", distill.as_ref()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((format!("train/{name}"), *value?)))
        .collect(),
        Record::Eval {
            context,
            nll_nats,
            ppl,
            passkeys,
            ..
        } => {
            let at = context.map_or_else(String::new, |context| format!("_{context}"));
            let mut numbers = vec![
                (format!("eval/nll_nats{at}"), *nll_nats),
                (format!("eval/perplexity{at}"), *ppl),
            ];
            numbers.extend(passkeys.map(|share| (format!("eval/passkeys{at}"), share)));
            numbers
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_with_commas_are_quoted() {
        for (text, expected) in [
            ("a", "a"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
        ] {
            assert_eq!(field(text), expected);
        }
    }
}
