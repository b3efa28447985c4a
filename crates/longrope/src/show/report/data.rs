//! The data of the page: `report.json`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_eval::{EvalResult, PplResult, TaskResult};
use longrope_extend::SearchResult;
use longrope_rope::RopeArtifact;
use longrope_trainer::run::records::Record;
use serde::Serialize;
use serde_json::Value;
use toml::Table;

use crate::hint::Hint;

/// The contents of a run folder.
#[derive(Debug, Serialize)]
pub(crate) struct RunReport {
    pub(crate) format: &'static str,
    pub(crate) version: u32,
    pub(crate) run: String,
    /// The question that the run answers, in one sentence.
    pub(crate) question: String,
    /// The resolved configuration.
    pub(crate) settings: Option<Table>,
    pub(crate) rope: Option<RopeArtifact>,
    pub(crate) search: Option<SearchResult>,
    /// Lines of `metrics.jsonl` of a search.
    pub(crate) generations: Vec<Value>,
    /// Records of `metrics.jsonl` of trainings, by folder.
    pub(crate) training: Vec<Training>,
    pub(crate) perplexities: Vec<PplResult>,
    /// Results of tasks without their trials.
    pub(crate) tasks: Vec<TaskResult>,
    /// Results of tasks with their trials, for figures; not in `report.json`, because they are in the folder.
    #[serde(skip)]
    pub(crate) full_tasks: Vec<TaskResult>,
    /// Files that could not be read, or not all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<Problem>,
    /// The stages of a recipe that have results, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stages: Vec<RunReport>,
    pub(crate) tool_version: &'static str,
}

/// A file that is left out of the report, or a part of it.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) file: String,
    pub(crate) reason: String,
}

/// One training run.
#[derive(Debug, Serialize)]
pub(crate) struct Training {
    pub(crate) name: String,
    pub(crate) lines: Vec<Record>,
}

impl RunReport {
    /// Reads a run folder, for a recipe with the folders of its stages.
    ///
    /// Files that are damaged are left out, with a warning, and are listed in [`problems`](Self::problems).
    ///
    /// # Errors
    /// If there are no results, or the recipe or a folder cannot be read.
    pub(crate) fn read(run: &Path) -> Result<Self> {
        if !run.is_dir() {
            return Err(anyhow!("`{}` is not a folder", run.display()).context(Hint(
                "give the run folder of a search, a training, an evaluation or a recipe".to_owned(),
            )));
        }
        let mut report = Self::gather(run)?;
        if let Some(recipe) = text_of(&run.join("recipe.toml"))? {
            report.settings = Some(recipe.parse().context("reading `recipe.toml` of the run")?);
            for folder in subfolders(run)? {
                let mut stage = Self::gather(&folder)?;
                if stage.is_empty() {
                    report.problems.append(&mut stage.problems);
                } else {
                    stage.question = stage.ask();
                    report.stages.push(stage);
                }
            }
        }
        if report.is_empty() {
            return Err(anyhow!("`{}` holds no results to report", run.display()).context(Hint(
                "a report reads rope.json, metrics.jsonl, search/result.json and the results of `longrope eval .. --out RUN`"
                    .to_owned(),
            )));
        }
        report.question = report.ask();
        Ok(report)
    }

    /// Reads the files of one folder.
    fn gather(run: &Path) -> Result<Self> {
        let mut report = Self {
            format: "longrope-report",
            version: 1,
            run: run.display().to_string(),
            question: String::new(),
            settings: None,
            rope: None,
            search: None,
            generations: Vec::new(),
            training: Vec::new(),
            perplexities: Vec::new(),
            tasks: Vec::new(),
            full_tasks: Vec::new(),
            problems: Vec::new(),
            stages: Vec::new(),
            tool_version: env!("CARGO_PKG_VERSION"),
        };
        report.settings = report.file(&run.join("config.toml"), |text| Ok(text.parse()?));
        report.rope = report.file(&run.join("rope.json"), |text| {
            Ok(RopeArtifact::from_json(text)?)
        });
        report.search = report.file(&run.join("search/result.json"), |text| {
            Ok(serde_json::from_str(text)?)
        });
        for (name, folder) in [("training", ""), ("train", "train")] {
            let path = run.join(folder).join("metrics.jsonl");
            let Some(metrics) = report.file(&path, |text| Ok(Metrics::of(text))) else {
                continue;
            };
            if let Some(reason) = metrics.reason() {
                report.leave_out(&path, &reason);
            }
            report.generations.extend(metrics.generations);
            if !metrics.records.is_empty() {
                report.training.push(Training {
                    name: name.to_owned(),
                    lines: metrics.records,
                });
            }
        }
        for path in json_files(run)? {
            let read = report.file(&path, |text| Ok(serde_json::from_str::<Value>(text)?));
            if let Some(json) = read
                && json.get("format").and_then(Value::as_str) == Some("longrope-eval")
            {
                report.read_results(&path, &json);
            }
        }
        Ok(report)
    }

    /// Reads a file if it is there. One that cannot be read is left out.
    fn file<T>(&mut self, path: &Path, parse: impl FnOnce(&str) -> Result<T>) -> Option<T> {
        let read = text_of(path).and_then(|text| text.as_deref().map(parse).transpose());
        read.unwrap_or_else(|error| {
            self.leave_out(path, &format!("{error:#}"));
            None
        })
    }

    /// Notes that a file, or a part of it, is left out, and warns.
    fn leave_out(&mut self, path: &Path, reason: &str) {
        let file = path.display().to_string();
        let reason = reason.trim_end().replace('\n', " ");
        tracing::warn!("left out of the report: `{file}`: {reason}");
        self.problems.push(Problem { file, reason });
    }

    fn is_empty(&self) -> bool {
        self.rope.is_none()
            && self.search.is_none()
            && self.generations.is_empty()
            && self.training.is_empty()
            && self.perplexities.is_empty()
            && self.tasks.is_empty()
            && self.stages.is_empty()
    }

    /// Reads the results of an evaluation one by one, so that a damaged one does not hide the others.
    fn read_results(&mut self, path: &Path, json: &Value) {
        let version = json.get("version").and_then(Value::as_u64);
        if version != Some(1) {
            let found = json
                .get("version")
                .map_or("missing".to_owned(), Value::to_string);
            self.leave_out(path, &format!("`version` is {found}, expected 1"));
            return;
        }
        let Some(Value::Array(results)) = json.get("results").cloned() else {
            self.leave_out(path, "`results` is missing");
            return;
        };
        for (index, result) in results.into_iter().enumerate() {
            match read_result(result) {
                Ok(EvalResult::Ppl(result)) => self.perplexities.push(result),
                Ok(EvalResult::Task(result)) => {
                    self.full_tasks.push(result.clone());
                    self.tasks.push(TaskResult {
                        trials: Vec::new(),
                        ..result
                    });
                }
                Err(reason) => self.leave_out(path, &format!("result {}: {reason}", index + 1)),
            }
        }
    }

    fn ask(&self) -> String {
        let model = self.setting("model");
        let model = model.map_or("the model".to_owned(), |model| format!("`{model}`"));
        let target = self.search.as_ref().map(|search| search.target_context);
        let original = self.rope.as_ref().map(|rope| rope.original_context);
        match (target, original) {
            (Some(target), Some(original)) => format!(
                "Which RoPE factors let {model} read {target} tokens instead of {original}?"
            ),
            _ if !self.stages.is_empty() => {
                format!("How far does this recipe extend {model}, and at what cost?")
            }
            _ if !self.training.is_empty() => {
                format!("How does training change {model} under its new RoPE?")
            }
            _ => format!("How well does {model} work at each context?"),
        }
    }

    /// The name of the folder.
    pub(crate) fn name(&self) -> String {
        let name = Path::new(&self.run).file_name();
        name.map_or_else(|| self.run.clone(), |name| name.display().to_string())
    }

    /// A top-level setting, as text.
    pub(crate) fn setting(&self, key: &str) -> Option<String> {
        let value = self.settings.as_ref()?.get(key)?;
        Some(
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned),
        )
    }
}

fn text_of(path: &Path) -> Result<Option<String>> {
    if path.is_file() {
        Ok(Some(fs_err::read_to_string(path)?))
    } else {
        Ok(None)
    }
}

/// One result of an evaluation.
///
/// # Errors
/// What is wrong with it.
fn read_result(result: Value) -> Result<EvalResult, String> {
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
struct Metrics {
    generations: Vec<Value>,
    records: Vec<Record>,
    /// What is wrong with a line, and its number.
    problems: Vec<(usize, String)>,
}

impl Metrics {
    fn of(text: &str) -> Self {
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
    fn reason(&self) -> Option<String> {
        let (line, problem) = self.problems.first()?;
        let more = match self.problems.len() {
            1 => String::new(),
            2 => "; and 1 more line".to_owned(),
            n => format!("; and {} more lines", n - 1),
        };
        Some(format!("line {line}: {problem}{more}"))
    }
}

/// The folders in a folder, sorted by name.
fn subfolders(run: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(run)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file is that of the report, or is read by itself.
fn is_read_elsewhere(path: &Path) -> bool {
    path.ends_with("report.json") || path.ends_with("rope.json")
}

/// The JSON files of the folder and of its `eval`, sorted by name.
fn json_files(run: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [run.to_owned(), run.join("eval")] {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs_err::read_dir(&folder)? {
            let path = entry?.path();
            let is_json = path
                .extension()
                .is_some_and(|extension| extension == "json");
            if is_json && path.is_file() && !is_read_elsewhere(&path) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
