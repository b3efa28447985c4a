//! Kinds of run, and how to tell the kind of a folder that does not say it.

use std::fmt;
use std::path::Path;

use longrope_trainer::checkpoint;
use serde::{Deserialize, Serialize};

use super::traces::trace_of_search;
use crate::lossy_text::read_lossy;

/// What a run folder is for. A folder holds one kind of run; evaluations may be added to any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RunKind {
    /// A search for factors.
    Search,
    /// A recovery of short contexts.
    Recover,
    /// A fine-tuning run.
    Finetune,
    /// A pretraining run.
    Pretrain,
    /// A recipe.
    Extend,
    /// Results of evaluations.
    Eval,
    /// The demo.
    Demo,
}

impl RunKind {
    /// The verb of the command line that makes such runs.
    pub fn verb(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Recover => "recover",
            Self::Finetune => "finetune",
            Self::Pretrain => "pretrain",
            Self::Extend => "extend",
            Self::Eval => "eval",
            Self::Demo => "demo",
        }
    }

    /// Its file with the settings of the run.
    pub(super) fn settings_file(self) -> &'static str {
        match self {
            Self::Extend => "recipe.toml",
            _ => "config.toml",
        }
    }

    /// The kind of a folder that has no `run.json`, by its files; `None` if there are none of a run.
    ///
    /// Version 0.1 wrote no `run.json`.
    pub(super) fn infer(folder: &Path) -> Option<Self> {
        let has = |name: &str| folder.join(name).exists();
        if has("recipe.toml") {
            Some(Self::Extend)
        } else if has("corpus.json") || has("start/config.json") {
            Some(Self::Pretrain)
        } else if has("search/state.json") || has("search/inputs.json") {
            Some(Self::Search)
        } else if has_entry(folder, "step-") || has_metrics_of_training(folder) {
            Some(Self::Finetune)
        } else if has_entry(folder, "context-") {
            Some(Self::Recover)
        } else if has("perplexity.svg") && has("passkeys.svg") && has("model") {
            Some(Self::Demo)
        } else if has_results(folder) {
            Some(Self::Eval)
        } else {
            None
        }
    }

    /// Whether a run of this kind has saved something that it can be continued from, or had.
    pub(super) fn has_work(self, folder: &Path) -> bool {
        match self {
            // A search whose state was removed is not begun anew over its results.
            Self::Search => {
                folder.join("search/state.json").is_file() || trace_of_search(folder).is_some()
            }
            Self::Recover => has_entry(folder, "context-"),
            Self::Finetune => checkpoint::has_state(folder),
            Self::Pretrain => folder.join("start").is_dir(),
            Self::Extend => subfolders(folder).any(|stage| stage.join("stage.toml").is_file()),
            Self::Eval => folder.join("eval").is_dir(),
            Self::Demo => folder.join("model").is_dir(),
        }
    }
}

impl fmt::Display for RunKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Search => "search",
            Self::Recover => "recovery",
            Self::Finetune => "training run",
            Self::Pretrain => "pretraining run",
            Self::Extend => "run of a recipe",
            Self::Eval => "set of evaluations",
            Self::Demo => "demo",
        })
    }
}

fn subfolders(folder: &Path) -> impl Iterator<Item = std::path::PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
}

/// Whether there is a subfolder with this prefix and a number.
fn has_entry(folder: &Path, prefix: &str) -> bool {
    subfolders(folder).any(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.strip_prefix(prefix));
        number.is_some_and(|number| number.parse::<u64>().is_ok())
    })
}

/// Whether there are results of evaluations, or what such were begun with. Others have folders called `eval` too.
fn has_results(folder: &Path) -> bool {
    let entries = fs_err::read_dir(folder.join("eval"));
    let is_json = |path: &Path| path.extension().is_some_and(|it| it == "json");
    entries
        .into_iter()
        .flatten()
        .flatten()
        .any(|entry| is_json(&entry.path()))
}

/// Whether the metrics are those of steps, not of generations.
fn has_metrics_of_training(folder: &Path) -> bool {
    let text = read_lossy(&folder.join("metrics.jsonl")).unwrap_or_default();
    let first = text.lines().next().unwrap_or_default();
    first.contains("\"kind\":\"training\"") || first.contains("\"event\":\"step\"")
}
