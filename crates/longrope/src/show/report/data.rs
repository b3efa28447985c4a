//! The data of the page: `report.json`.

use std::path::Path;

use longrope_eval::{EffectiveLength, PplResult, TaskResult};
use longrope_extend::SearchResult;
use longrope_model::ResultSource;
use longrope_rope::RopeArtifact;
use longrope_trainer::run::records::Record;
use serde::{Serialize, Serializer};
use serde_json::Value;
use toml::Table;

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
    /// The resolved configuration; of a recipe what all stages share, and of a stage what it ran with.
    pub(crate) settings: Option<Table>,
    pub(crate) rope: Option<RopeArtifact>,
    pub(crate) search: Option<SearchResult>,
    /// Lines of `metrics.jsonl` of a search.
    pub(crate) generations: Vec<Value>,
    /// Records of `metrics.jsonl` of trainings, by folder.
    pub(crate) training: Vec<Training>,
    /// Results of evaluations, by file.
    pub(crate) evaluations: Vec<Evaluation>,
    /// Files that could not be read, or not all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) problems: Vec<Problem>,
    /// The stages of a recipe that have results, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) stages: Vec<RunReport>,
    /// Folders of stages that the recipe does not have any more. Nothing of them is in the report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) former_stages: Vec<String>,
    pub(crate) tool_version: &'static str,
}

/// A file that is left out of the report, or a part of it.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    pub(crate) file: String,
    pub(crate) reason: String,
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
    /// How far the tasks keep their scores.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) effective_lengths: Vec<EffectiveLength>,
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
    /// What it was made from, as its header says; `null` in older files.
    pub(crate) source: Option<Value>,
    pub(crate) lines: Vec<Record>,
}

impl RunReport {
    /// Whether there is nothing to report.
    pub(super) fn is_empty(&self) -> bool {
        self.rope.is_none()
            && self.search.is_none()
            && self.generations.is_empty()
            && self.training.is_empty()
            && self.evaluations.is_empty()
            && self.stages.is_empty()
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

    /// The question that the run answers.
    pub(super) fn ask(&self) -> String {
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
