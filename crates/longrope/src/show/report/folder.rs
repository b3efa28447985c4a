//! Reads a run folder into the data of the page. What cannot be read is left out, and named.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_eval::EvalResult;
use longrope_extend::recipe::DoneStage;
use longrope_model::ResultSource;
use longrope_rope::RopeArtifact;
use serde_json::Value;
use toml::Table;

use super::common_keys::shared;
use super::damaged::{Metrics, read_result};
use super::data::{Evaluation, Problem, RunReport, Training};
use crate::failure::Hint;
use crate::settings::recipe::stage_folders;

impl RunReport {
    /// Reads a run folder, for a recipe with the folders of its stages.
    ///
    /// # Errors
    /// If there are no results, or a file cannot be read.
    pub(crate) fn read(run: &Path) -> Result<Self> {
        if !run.is_dir() {
            let problem = if run.exists() {
                "is not a folder"
            } else {
                "does not exist"
            };
            return Err(anyhow!("`{}` {problem}", run.display()).context(Hint(
                "give the run folder of a search, a training, an evaluation or a recipe".to_owned(),
            )));
        }
        let mut report = Self::gather(run)?;
        if let Some(recipe) = text_of(&run.join("recipe.toml"))? {
            let recipe: Table = recipe.parse().context("reading `recipe.toml` of the run")?;
            report.read_stages(run, &stage_folders(&recipe))?;
            report.settings = Some(shared(recipe));
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

    /// Reads the stages of a recipe, and names those of an earlier version of it.
    fn read_stages(&mut self, run: &Path, names: &[String]) -> Result<()> {
        for name in names {
            let folder = run.join(name);
            if !folder.is_dir() {
                continue;
            }
            let mut stage = Self::gather(&folder)?;
            if !stage.is_empty() {
                stage.question = stage.ask();
                self.stages.push(stage);
            }
        }
        for folder in subfolders(run)? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy();
            if folder.join("stage.toml").is_file() && !names.iter().any(|known| *known == name) {
                self.former_stages.push(name.into_owned());
            }
        }
        if !self.former_stages.is_empty() {
            tracing::warn!(
                "left out of the report, because the recipe has no such stages: {}",
                self.former_stages.join(", ")
            );
        }
        Ok(())
    }

    /// Reads the files of one folder.
    fn gather(run: &Path) -> Result<Self> {
        let mut report = Self {
            format: "longrope-report",
            version: 2,
            run: run.display().to_string(),
            kind: kind_of(run)?,
            question: String::new(),
            settings: None,
            rope: None,
            search: None,
            generations: Vec::new(),
            training: Vec::new(),
            evaluations: Vec::new(),
            problems: Vec::new(),
            stages: Vec::new(),
            former_stages: Vec::new(),
            tool_version: env!("CARGO_PKG_VERSION"),
        };
        report.settings = report.file(&run.join("config.toml"), |text| Ok(text.parse()?));
        if report.settings.is_none() {
            report.settings = report.stage_settings(run);
        }
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
                    source: metrics.source,
                    lines: metrics.records,
                });
            }
        }
        for path in json_files(run)? {
            let read = report.file(&path, |text| Ok(serde_json::from_str::<Value>(text)?));
            if let Some(json) = read
                && json.get("format").and_then(Value::as_str) == Some("longrope-eval")
            {
                report.read_results(run, &path, json);
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

    /// The settings that a stage of a recipe ran with, without the sections that its verb does not read. The recipe may have
    /// been changed since.
    fn stage_settings(&mut self, stage: &Path) -> Option<Table> {
        let mut settings: Table = self.file(&stage.join("stage.toml"), |text| Ok(text.parse()?))?;
        let done: Option<DoneStage> = self.file(&stage.join("done.json"), |text| {
            Ok(serde_json::from_str(text)?)
        });
        if let Some(done) = done {
            settings.retain(|key, value| !value.is_table() || done.verb.reads(key));
        }
        Some(settings)
    }

    /// Notes that a file, or a part of it, is left out, and warns.
    fn leave_out(&mut self, path: &Path, reason: &str) {
        let file = path.display().to_string();
        let reason = reason.trim_end().replace('\n', " ");
        tracing::warn!("left out of the report: `{file}`: {reason}");
        self.problems.push(Problem { file, reason });
    }

    /// Reads the results of an evaluation one by one, so that a damaged one does not hide the others.
    fn read_results(&mut self, run: &Path, path: &Path, mut json: Value) {
        let version = json.get("version").and_then(Value::as_u64);
        if version != Some(1) {
            let found = json
                .get("version")
                .map_or("missing".to_owned(), Value::to_string);
            self.leave_out(path, &format!("`version` is {found}, expected 1"));
            return;
        }
        let source = match json.get_mut("source").map(Value::take) {
            None | Some(Value::Null) => None,
            Some(source) => match serde_json::from_value::<ResultSource>(source) {
                Ok(source) => Some(source),
                Err(error) => {
                    self.leave_out(path, &format!("`source`: {error}"));
                    return;
                }
            },
        };
        let Some(Value::Array(results)) = json.get_mut("results").map(Value::take) else {
            self.leave_out(path, "`results` is missing");
            return;
        };
        let mut evaluation = Evaluation {
            file: path.strip_prefix(run).unwrap_or(path).display().to_string(),
            source,
            perplexities: Vec::new(),
            tasks: Vec::new(),
            effective_lengths: Vec::new(),
        };
        if let Some(lengths) = json.get_mut("effective_lengths").map(Value::take) {
            match serde_json::from_value(lengths) {
                Ok(lengths) => evaluation.effective_lengths = lengths,
                Err(error) => self.leave_out(path, &format!("`effective_lengths`: {error}")),
            }
        }
        for (index, result) in results.into_iter().enumerate() {
            match read_result(result) {
                Ok(EvalResult::Ppl(result)) => evaluation.perplexities.push(result),
                Ok(EvalResult::Task(result)) => evaluation.tasks.push(result),
                Err(reason) => self.leave_out(path, &format!("result {}: {reason}", index + 1)),
            }
        }
        if !evaluation.perplexities.is_empty() || !evaluation.tasks.is_empty() {
            self.evaluations.push(evaluation);
        }
    }
}

/// The text of a file; `None` if there is none. Bytes that are not UTF-8 are damage of the lines that they are in.
fn text_of(path: &Path) -> Result<Option<String>> {
    if path.is_file() {
        let bytes = fs_err::read(path)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    } else {
        Ok(None)
    }
}

/// The kind of run in `run.json`.
fn kind_of(run: &Path) -> Result<Option<String>> {
    let record = text_of(&run.join("run.json"))?;
    let record: Option<Value> = record.and_then(|text| serde_json::from_str(&text).ok());
    Ok(record.and_then(|record| Some(record.get("kind")?.as_str()?.to_owned())))
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
            if is_json && path.is_file() && !path.ends_with("report.json") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
