//! The data of the page: `report.json`.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_eval::{EvalReport, EvalResult, PplResult, TaskResult};
use longrope_extend::SearchResult;
use longrope_model::ResultSource;
use longrope_rope::RopeArtifact;
use longrope_trainer::run::records::{self, Record};
use serde::{Serialize, Serializer};
use serde_json::Value;
use toml::Table;

use crate::hint::Hint;

/// The contents of a run folder.
#[derive(Debug, Default, Serialize)]
pub(crate) struct RunReport {
    pub(crate) format: &'static str,
    pub(crate) version: u32,
    pub(crate) run: String,
    /// Kind of the run, as in `run.json`; `null` for folders of version 0.1.
    pub(crate) kind: Option<String>,
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
    /// Results of evaluations, by file.
    pub(crate) evaluations: Vec<Evaluation>,
    /// The stages of a recipe that have results, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stages: Vec<RunReport>,
    pub(crate) tool_version: &'static str,
}

/// The results of one file, which are of one model and one text.
#[derive(Debug, Serialize)]
pub(crate) struct Evaluation {
    /// The file, relative to the folder.
    pub(crate) file: String,
    /// What was measured; `null` in files of version 0.1.
    pub(crate) source: Option<ResultSource>,
    /// Perplexities; in `report.json` without their windows, which are in the file.
    #[serde(serialize_with = "without_windows")]
    pub(crate) perplexities: Vec<PplResult>,
    /// Results of tasks; in `report.json` without their trials, which are in the file.
    #[serde(serialize_with = "without_trials")]
    pub(crate) tasks: Vec<TaskResult>,
}

fn without_windows<S: Serializer>(results: &[PplResult], to: S) -> Result<S::Ok, S::Error> {
    let bare = results.iter().map(|result| PplResult {
        windows: None,
        ..result.clone()
    });
    to.collect_seq(bare)
}

fn without_trials<S: Serializer>(results: &[TaskResult], to: S) -> Result<S::Ok, S::Error> {
    let bare = results.iter().map(|result| TaskResult {
        trials: Vec::new(),
        ..result.clone()
    });
    to.collect_seq(bare)
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
    /// # Errors
    /// If there are no results, or a file cannot be read.
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
                if !stage.is_empty() {
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
            version: 2,
            run: run.display().to_string(),
            kind: kind_of(run)?,
            question: String::new(),
            settings: text_of(&run.join("config.toml"))?
                .map(|text| text.parse())
                .transpose()
                .context("reading `config.toml` of the run")?,
            rope: match text_of(&run.join("rope.json"))? {
                Some(text) => {
                    Some(RopeArtifact::from_json(&text).context("reading `rope.json` of the run")?)
                }
                None => None,
            },
            search: match text_of(&run.join("search/result.json"))? {
                Some(text) => Some(
                    serde_json::from_str(&text)
                        .context("reading `search/result.json` of the run")?,
                ),
                None => None,
            },
            generations: Vec::new(),
            training: Vec::new(),
            evaluations: Vec::new(),
            stages: Vec::new(),
            tool_version: env!("CARGO_PKG_VERSION"),
        };
        for name in ["", "train"] {
            let metrics = run.join(name).join("metrics.jsonl");
            let generations = lines_of(&metrics)?.into_iter();
            report
                .generations
                .extend(generations.filter(|line| line.get("generation").is_some()));
            let lines = records::read(&metrics)?;
            if !lines.is_empty() {
                let name = if name.is_empty() { "training" } else { name };
                report.training.push(Training {
                    name: name.to_owned(),
                    lines,
                });
            }
        }
        for path in json_files(run)? {
            report.read_results(run, &path)?;
        }
        Ok(report)
    }

    fn is_empty(&self) -> bool {
        self.rope.is_none()
            && self.search.is_none()
            && self.generations.is_empty()
            && self.training.is_empty()
            && self.evaluations.is_empty()
            && self.stages.is_empty()
    }

    fn read_results(&mut self, run: &Path, path: &Path) -> Result<()> {
        let text = fs_err::read_to_string(path)?;
        let Ok(json) = serde_json::from_str::<Value>(&text) else {
            return Ok(());
        };
        if json.get("format").and_then(Value::as_str) != Some("longrope-eval") {
            return Ok(());
        }
        let results: EvalReport = serde_json::from_value(json)
            .with_context(|| format!("reading results `{}`", path.display()))?;
        let file = path.strip_prefix(run).unwrap_or(path);
        let mut evaluation = Evaluation {
            file: file.display().to_string(),
            source: results.source,
            perplexities: Vec::new(),
            tasks: Vec::new(),
        };
        for result in results.results {
            match result {
                EvalResult::Ppl(result) => evaluation.perplexities.push(result),
                EvalResult::Task(result) => evaluation.tasks.push(result),
            }
        }
        self.evaluations.push(evaluation);
        Ok(())
    }

    /// Whether there are curves: generations of a search, or steps of a training.
    pub(crate) fn has_curves(&self) -> bool {
        self.parts()
            .any(|part| !part.generations.is_empty() || !part.training.is_empty())
    }

    /// The folder and, for a recipe, the folders of its stages.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(&self.stages)
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
            _ if self.kind.as_deref() == Some("pretrain") => {
                "How good is a small model that is trained from scratch?".to_owned()
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

/// The kind of run in `run.json`.
fn kind_of(run: &Path) -> Result<Option<String>> {
    let record = text_of(&run.join("run.json"))?;
    let record: Option<Value> = record.and_then(|text| serde_json::from_str(&text).ok());
    Ok(record.and_then(|record| Some(record.get("kind")?.as_str()?.to_owned())))
}

/// Lines of JSON. Lines that cannot be parsed are skipped: the last one may be cut off while a run is active.
fn lines_of(path: &Path) -> Result<Vec<Value>> {
    let text = text_of(path)?.unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str);
    Ok(lines.filter_map(Result::ok).collect())
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
