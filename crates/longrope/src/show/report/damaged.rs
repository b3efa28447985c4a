//! Results and records of runs that may be damaged: what can be read, and what is wrong with the rest.

use longrope_eval::EvalResult;
use longrope_trainer::run::records::Record;
use serde_json::Value;

/// One result of an evaluation.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read_result(result: Value) -> Result<EvalResult, String> {
    let nulls = nulls(&result, &["stderr_nats", "stderr", "interval"]);
    let is_ppl = result.get("task").and_then(Value::as_str) == Some("ppl");
    let read = if is_ppl {
        serde_json::from_value(result).map(EvalResult::Ppl)
    } else {
        serde_json::from_value(result).map(EvalResult::Task)
    };
    read.map_err(|error| {
        if nulls.is_empty() {
            error.to_string()
        } else {
            format!("{} `null`, expected a number", are(&nulls))
        }
    })
}

/// The names of keys whose value is `null`, without those that may be.
fn nulls(object: &Value, may_be: &[&str]) -> Vec<String> {
    let keys = object.as_object().into_iter().flatten();
    keys.filter(|(key, value)| value.is_null() && !may_be.contains(&key.as_str()))
        .map(|(key, _)| format!("`{key}`"))
        .collect()
}

/// Names with the verb that goes with their number.
fn are(names: &[String]) -> String {
    let verb = if names.len() == 1 { "is" } else { "are" };
    format!("{} {verb}", names.join(", "))
}

/// The lines of a `metrics.jsonl`, of a search or of a training.
#[derive(Default)]
pub(super) struct Metrics {
    pub(super) generations: Vec<Value>,
    pub(super) records: Vec<Record>,
    /// What the header says that was trained or searched on.
    pub(super) source: Option<Value>,
    /// What is wrong with a line, and its number.
    problems: Vec<(usize, String)>,
}

impl Metrics {
    pub(super) fn of(text: &str) -> Self {
        let mut metrics = Self::default();
        let n_lines = text.lines().count();
        for (index, line) in text.lines().enumerate() {
            let is_cut = index + 1 == n_lines && !text.ends_with('\n');
            if !line.trim().is_empty()
                && let Err(problem) = metrics.add(line, is_cut)
            {
                metrics.problems.push((index + 1, problem));
            }
        }
        metrics
    }

    fn add(&mut self, line: &str, is_cut: bool) -> Result<(), String> {
        let line: Value = serde_json::from_str(line).map_err(|error| {
            if is_cut {
                "it is cut off".to_owned()
            } else {
                error.to_string()
            }
        })?;
        if let Some(format) = line.get("format") {
            let is_known = *format == "longrope-metrics" && line["version"] == 1;
            return if is_known {
                self.source = line.get("source").cloned();
                Ok(())
            } else {
                Err(format!(
                    "format {format} version {} is not supported",
                    line["version"]
                ))
            };
        }
        let nulls = nulls(
            &line,
            &["peak_memory_bytes", "passkeys", "phase", "context"],
        );
        if line.get("generation").is_some() {
            self.generations.push(line);
        } else {
            let record = Record::from_json(line);
            self.records
                .push(record.ok_or("it is no line of a search or of a training")?);
        }
        if nulls.is_empty() {
            Ok(())
        } else {
            Err(format!("{} `null`, expected a number", are(&nulls)))
        }
    }

    /// What is wrong with the file; `None` if nothing is.
    pub(super) fn reason(&self) -> Option<String> {
        let (line, problem) = self.problems.first()?;
        let more = match self.problems.len() {
            1 => String::new(),
            2 => "; and 1 more line".to_owned(),
            n => format!("; and {} more lines", n - 1),
        };
        Some(format!("line {line}: {problem}{more}"))
    }
}
