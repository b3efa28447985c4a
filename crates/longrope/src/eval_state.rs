//! What an evaluation has measured so far, so that it can go on after an interruption.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};
use longrope_eval::{TaskInfo, Trial};
use longrope_rope::RopeSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::hint::Hint;
use crate::run_dir;

const FORMAT: &str = "longrope-eval-state";
const VERSION: u32 = 1;

/// The trials of one task at one context under one RoPE.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SavedJob {
    /// All that decides what the trials are.
    key: Value,
    pub(crate) trials: Vec<Trial>,
    pub(crate) elapsed_secs: f64,
}

/// The file. It exists as long as the evaluation is not finished.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct EvalState {
    format: String,
    version: u32,
    model_fingerprint: String,
    jobs: Vec<SavedJob>,
    #[serde(skip)]
    path: PathBuf,
}

impl EvalState {
    /// A state without trials, which will be kept at `path`.
    pub(crate) fn begin(path: PathBuf, model_fingerprint: String) -> Result<Self> {
        if path.exists() {
            return Err(anyhow!(
                "`{}` holds an evaluation that was interrupted",
                path.display()
            )
            .context(Hint(
                "continue it with --resume, or choose another --out".to_owned(),
            )));
        }
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            model_fingerprint,
            jobs: Vec::new(),
            path,
        })
    }

    /// Reads a state, and checks that it is of this model and of these tasks.
    pub(crate) fn resume(path: PathBuf, model_fingerprint: &str, keys: &[Value]) -> Result<Self> {
        if !path.is_file() {
            return Err(anyhow!(
                "there is no evaluation to resume, expected `{}`",
                path.display()
            )
            .context(Hint(
                "check --out, or begin by leaving out --resume; a finished evaluation has no state"
                    .to_owned(),
            )));
        }
        let state = read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let again =
            || Hint("repeat the settings it was begun with, or choose another --out".into());
        if state.model_fingerprint != model_fingerprint {
            return Err(
                anyhow!("`{}` was made with another model", path.display()).context(again())
            );
        }
        if !state.jobs.iter().all(|job| keys.contains(&job.key)) {
            return Err(
                anyhow!("`{}` was made with other settings", path.display()).context(again())
            );
        }
        Ok(Self { path, ..state })
    }

    /// What is known of a task.
    pub(crate) fn job(&self, key: &Value) -> Option<&SavedJob> {
        self.jobs.iter().find(|job| job.key == *key)
    }

    /// Keeps the trials of a task, and writes the file.
    pub(crate) fn save(&mut self, key: &Value, trials: &[Trial], elapsed_secs: f64) -> Result<()> {
        let job = SavedJob {
            key: key.clone(),
            trials: trials.to_vec(),
            elapsed_secs,
        };
        match self.jobs.iter_mut().find(|saved| saved.key == *key) {
            Some(saved) => *saved = job,
            None => self.jobs.push(job),
        }
        run_dir::write_atomically(&self.path, &serde_json::to_string(self)?)
    }

    /// Takes the file away: the evaluation is finished.
    pub(crate) fn finish(self) -> Result<()> {
        if self.path.exists() {
            fs_err::remove_file(&self.path)?;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<EvalState> {
    let state: EvalState = serde_json::from_str(&fs_err::read_to_string(path)?)?;
    ensure!(
        state.format == FORMAT,
        "its format is `{}`, expected `{FORMAT}`",
        state.format
    );
    ensure!(
        state.version == VERSION,
        "its version is {}, this program reads {VERSION}",
        state.version
    );
    Ok(state)
}

/// All that decides what the trials of a task under a RoPE are.
pub(crate) fn key(info: &TaskInfo, rope_name: &str, rope: &RopeSpec) -> Result<Value> {
    Ok(json!({
        "task": info.name,
        "task_version": info.version,
        "protocol": info.protocol,
        "settings": info.settings,
        "seed": info.seed,
        "context": info.context,
        "rope": rope_name,
        "spec": serde_json::to_value(rope)?,
    }))
}
