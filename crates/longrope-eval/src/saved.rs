//! The state of an interrupted evaluation.

use std::path::{Path, PathBuf};

use longrope_model::ResultSource;
use longrope_rope::RopeSpec;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::changed_setting::ChangedSetting;
use crate::error::{Error, Result};
use crate::key_changes::key_changes;
use crate::report::Trial;
use crate::task::TaskInfo;

const FORMAT: &str = "longrope-eval-state";
const VERSION: u32 = 1;

/// What an evaluation is measured on, by the keys of a configuration.
const MODEL: &str = "model";
const TEXT: &str = "text";
const PRECISION: &str = "precision";

/// The trials of one task at one context under one RoPE.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SavedJob {
    /// See [`EvalState::key`].
    key: Value,
    /// The trials so far.
    pub trials: Vec<Trial>,
    /// Time they took, seconds.
    pub elapsed_secs: f64,
}

/// The trials of an evaluation so far, and the file they are kept in.
///
/// The file exists as long as the evaluation is not finished.
///
/// ```
/// # use longrope_eval::EvalState;
/// # use longrope_model::ResultSource;
/// # let dir = tempfile::tempdir().unwrap();
/// let path = dir.path().join("eval/passkey.state.json");
/// let key = serde_json::json!({ "task": "passkey" });
/// let source = ResultSource {
///     model_fingerprint: "fingerprint of the model".to_owned(),
///     ..ResultSource::default()
/// };
///
/// let mut state = EvalState::begin(path.clone(), &source)?;
/// state.save(&key, &[], 1.5)?;
///
/// // Later, in another process:
/// let state = EvalState::resume(path, &source, &[key.clone()])?;
/// assert_eq!(state.job(&key).map(|job| job.elapsed_secs), Some(1.5));
/// state.finish()?;
/// # Ok::<(), longrope_eval::Error>(())
/// ```
#[derive(Debug, Serialize, Deserialize)]
pub struct EvalState {
    format: String,
    version: u32,
    model_fingerprint: String,
    /// Fingerprint of the text or data, for tasks whose keys have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text_fingerprint: Option<String>,
    /// Type of the weights in computations; `None` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    precision: Option<String>,
    /// Which layers a RoPE is for, if not for those that see all tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_layers: Option<String>,
    jobs: Vec<SavedJob>,
    #[serde(skip)]
    path: PathBuf,
}

impl EvalState {
    /// The file of the state.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it says in which precision its trials were computed; older files do not.
    pub fn knows_precision(&self) -> bool {
        self.precision.is_some()
    }

    /// A state without trials of what is measured on `source`, to be kept at `path`. Nothing is written yet.
    ///
    /// # Errors
    /// [`Error::StateExists`] if there is a file at `path`.
    pub fn begin(path: PathBuf, source: &ResultSource) -> Result<Self> {
        if path.exists() {
            return Err(Error::StateExists { path });
        }
        Ok(Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            model_fingerprint: source.model_fingerprint.clone(),
            text_fingerprint: source.text_fingerprint.clone(),
            precision: source.precision.clone(),
            rope_layers: source.rope_layers.clone(),
            jobs: Vec::new(),
            path,
        })
    }

    /// Reads a state and checks that it belongs to this model and text, measured in this way, and to these
    /// [keys](Self::key). States of version 0.1 do not say the text, and older ones do not say the precision.
    ///
    /// # Errors
    /// - [`Error::NoState`] if there is no file at `path`, [`Error::Io`] if it cannot be read.
    /// - [`Error::StateJson`], [`Error::StateFormat`] and [`Error::StateVersion`] for a file of another form.
    /// - [`Error::StateModel`], [`Error::StateText`], [`Error::StatePrecision`], [`Error::StateLayers`] and
    ///   [`Error::StateSettings`] for the state of another evaluation; the last one if several things differ.
    pub fn resume(path: PathBuf, source: &ResultSource, keys: &[Value]) -> Result<Self> {
        if !path.is_file() {
            return Err(Error::NoState { path });
        }
        let state = read(&path)?;
        let mut changes = state.changes_of_source(source);
        let has_others = state.jobs.iter().any(|job| !keys.contains(&job.key));
        if changes.is_empty() && !has_others {
            return Ok(Self { path, ..state });
        }
        let saved: Vec<&Value> = state.jobs.iter().map(|job| &job.key).collect();
        let mut of_settings = key_changes(&saved, keys);
        // What follows from another model or text is not named beside it.
        of_settings.retain(|change| !changes.iter().any(|source| implies(source, change)));
        if let ([only], []) = (changes.as_slice(), of_settings.as_slice()) {
            return Err(of_source(path, only));
        }
        changes.append(&mut of_settings);
        Err(Error::StateSettings { path, changes })
    }

    /// What is not measured on the same as when the evaluation was begun.
    fn changes_of_source(&self, now: &ResultSource) -> Vec<ChangedSetting> {
        let mut changes = Vec::new();
        let mut add = |name: &str, values: Option<(&str, &str)>| {
            let owned = |(saved, now): (&str, &str)| (saved.to_owned(), now.to_owned());
            changes.push(ChangedSetting {
                name: name.to_owned(),
                values: values.map(owned),
            });
        };
        if self.model_fingerprint != now.model_fingerprint {
            add(MODEL, None);
        }
        if let (Some(saved), Some(now)) = (&self.text_fingerprint, &now.text_fingerprint)
            && saved != now
        {
            add(TEXT, None);
        }
        if let (Some(saved), Some(now)) = (&self.precision, &now.precision)
            && saved != now
        {
            add(PRECISION, Some((saved.as_str(), now.as_str())));
        }
        if self.rope_layers != now.rope_layers {
            add("rope-layers", None);
        }
        changes
    }

    /// Everything that decides what the trials of a task under a RoPE are, as one value.
    ///
    /// # Errors
    /// [`Error::Io`] if `rope` cannot be represented in JSON.
    pub fn key(info: &TaskInfo, rope_name: &str, rope: &RopeSpec) -> Result<Value> {
        let spec = serde_json::to_value(rope).map_err(std::io::Error::from)?;
        Ok(json!({
            "task": info.name,
            "task_version": info.version,
            "protocol": info.protocol,
            "settings": info.settings,
            "seed": info.seed,
            "context": info.context,
            "rope": rope_name,
            "spec": spec,
        }))
    }

    /// The saved trials of the task with this [key](Self::key).
    pub fn job(&self, key: &Value) -> Option<&SavedJob> {
        self.jobs.iter().find(|job| job.key == *key)
    }

    /// Replaces the trials of a task and writes the file.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be written; it then has its old content.
    pub fn save(&mut self, key: &Value, trials: &[Trial], elapsed_secs: f64) -> Result<()> {
        self.add(key, trials, elapsed_secs);
        self.write()
    }

    /// Replaces the trials of a task. Nothing is written yet.
    pub fn add(&mut self, key: &Value, trials: &[Trial], elapsed_secs: f64) {
        let job = SavedJob {
            key: key.clone(),
            trials: trials.to_vec(),
            elapsed_secs,
        };
        match self.jobs.iter_mut().find(|saved| saved.key == *key) {
            Some(saved) => *saved = job,
            None => self.jobs.push(job),
        }
    }

    /// Writes the file, so that the evaluation can be resumed from now on.
    ///
    /// # Errors
    /// As [`Self::save`].
    pub fn write(&self) -> Result<()> {
        let text = serde_json::to_string(self).map_err(std::io::Error::from)?;
        longrope_data::write_atomically(&self.path, text.as_bytes())?;
        Ok(())
    }

    /// Deletes the file: the evaluation is finished.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be deleted.
    pub fn finish(self) -> Result<()> {
        if self.path.exists() {
            fs_err::remove_file(&self.path)?;
        }
        Ok(())
    }
}

/// Whether a change of the model or the text has the other one as a consequence: a model has a RoPE of its own.
fn implies(source: &ChangedSetting, other: &ChangedSetting) -> bool {
    source.name == other.name || source.name == MODEL && other.name.starts_with("rope ")
}

/// The error for a state of which nothing else differs.
fn of_source(path: PathBuf, change: &ChangedSetting) -> Error {
    match (change.name.as_str(), &change.values) {
        (MODEL, _) => Error::StateModel { path },
        (TEXT, _) => Error::StateText { path },
        (PRECISION, Some((saved, now))) => Error::StatePrecision {
            path,
            saved: saved.clone(),
            now: now.clone(),
        },
        _ => Error::StateLayers { path },
    }
}

fn read(path: &Path) -> Result<EvalState> {
    // Not as text: a byte that is not UTF-8 is damage like any other.
    let bytes = fs_err::read(path)?;
    let state: EvalState = serde_json::from_slice(&bytes).map_err(|source| Error::StateJson {
        path: path.to_owned(),
        source,
    })?;
    if state.format != FORMAT {
        return Err(Error::StateFormat {
            path: path.to_owned(),
            found: state.format,
            expected: FORMAT,
        });
    }
    if state.version != VERSION {
        return Err(Error::StateVersion {
            path: path.to_owned(),
            found: state.version,
            expected: VERSION,
        });
    }
    Ok(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(model: &str) -> ResultSource {
        ResultSource {
            model_fingerprint: model.to_owned(),
            ..ResultSource::default()
        }
    }

    fn state(path: &Path) -> EvalState {
        EvalState::begin(path.to_owned(), &of("model")).unwrap()
    }

    #[test]
    fn a_state_is_resumed_for_its_own_evaluation_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("eval/state.json");
        let resume =
            |model: &str, keys: &[Value]| EvalState::resume(path.clone(), &of(model), keys);
        let (key, other) = (json!({ "task": "a" }), json!({ "task": "b" }));
        let trial = Trial {
            trial: 0,
            scores: vec![1.0],
            details: serde_json::Map::new(),
        };

        let keys = [key.clone()];
        assert!(matches!(resume("model", &keys), Err(Error::NoState { .. })));
        let mut saved = state(&path);
        saved.save(&key, &[], 0.0).unwrap();
        saved.save(&key, std::slice::from_ref(&trial), 2.0).unwrap();
        let begun = EvalState::begin(path.clone(), &of("model"));
        assert!(matches!(begun, Err(Error::StateExists { .. })));

        let resumed = resume("model", &keys).unwrap();
        assert_eq!(resumed.job(&key).unwrap().trials, [trial]);
        assert!(resumed.job(&other).is_none());
        let result = resume("another model", &keys);
        assert!(matches!(result, Err(Error::StateModel { .. })));
        let message = resume("model", &[other]).unwrap_err().to_string();
        assert!(
            message.ends_with("was made with other settings: `task` was a and is b"),
            "{message}"
        );
        resumed.finish().unwrap();
        assert!(!path.exists());
    }

    #[test]
    fn a_state_of_another_text_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let on = |text: &str| ResultSource {
            text_fingerprint: Some(text.to_owned()),
            ..of("model")
        };
        let state = EvalState::begin(path.clone(), &on("text")).unwrap();
        state.write().unwrap();
        let resume = |source: ResultSource| EvalState::resume(path.clone(), &source, &[]);
        assert!(resume(on("text")).is_ok());
        let result = resume(on("other"));
        assert!(matches!(result, Err(Error::StateText { .. })));
    }

    #[test]
    fn a_state_that_was_measured_in_another_way_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let measured = |precision: &str, layers: Option<&str>| ResultSource {
            precision: Some(precision.to_owned()),
            rope_layers: layers.map(str::to_owned),
            ..of("model")
        };
        let state = EvalState::begin(path.clone(), &measured("f32", None)).unwrap();
        state.write().unwrap();
        let resume = |source: ResultSource| EvalState::resume(path.clone(), &source, &[]);
        assert!(resume(measured("f32", None)).unwrap().knows_precision());
        let message = resume(measured("bf16", None)).unwrap_err().to_string();
        assert!(
            message.ends_with("was begun in `f32`, it cannot be continued in `bf16`"),
            "{message}"
        );
        let result = resume(measured("f32", Some("all")));
        assert!(matches!(result, Err(Error::StateLayers { .. })));
        // Older files say neither.
        state_of_an_older_version(&path);
        let result = resume(measured("bf16", None)).unwrap();
        assert!(!result.knows_precision());
        let result = resume(measured("f32", Some("all")));
        assert!(matches!(result, Err(Error::StateLayers { .. })));
    }

    #[test]
    fn all_that_differs_is_said_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        let measured = |model: &str, precision: &str| ResultSource {
            precision: Some(precision.to_owned()),
            ..of(model)
        };
        let key = |seed: u64, spec: u64| json!({ "task": "passkey", "seed": seed, "rope": "none", "spec": spec });
        let mut state = EvalState::begin(path.clone(), &measured("a", "f32")).unwrap();
        state.save(&key(1, 1), &[], 0.0).unwrap();
        let said = |source: ResultSource, key: Value| {
            let resumed = EvalState::resume(path.clone(), &source, &[key]);
            let message = resumed.unwrap_err().to_string();
            message.split_once("other settings: ").unwrap().1.to_owned()
        };
        assert_eq!(
            said(measured("a", "bf16"), key(2, 1)),
            "`precision` was f32 and is bf16, `seed` was 1 and is 2"
        );
        // The RoPE of another model is another one.
        assert_eq!(
            said(measured("b", "bf16"), key(1, 2)),
            "`model` is another one, `precision` was f32 and is bf16"
        );
        let only = EvalState::resume(path.clone(), &measured("b", "f32"), &[key(1, 2)]);
        assert!(matches!(only, Err(Error::StateModel { .. })));
    }

    fn state_of_an_older_version(path: &Path) {
        let text = fs_err::read_to_string(path).unwrap();
        fs_err::write(path, text.replace(r#""precision":"f32","#, "")).unwrap();
    }

    #[test]
    fn the_file_is_pinned_and_other_files_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state.json");
        state(&path).save(&json!(1), &[], 0.5).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        let expected = r#"{"format":"longrope-eval-state","version":1,"model_fingerprint":"model","jobs":[{"key":1,"trials":[],"elapsed_secs":0.5}]}"#;
        assert_eq!(text, expected);

        let read_back = |text: &str| {
            fs_err::write(&path, text).unwrap();
            EvalState::resume(path.clone(), &of("model"), &[json!(1)])
        };
        let result = read_back(&text.replace("eval-state", "state"));
        assert!(matches!(result, Err(Error::StateFormat { .. })));
        let result = read_back(&text.replace(":1,", ":2,"));
        assert!(matches!(result, Err(Error::StateVersion { found: 2, .. })));
        assert!(matches!(read_back("{"), Err(Error::StateJson { .. })));
        let mut bytes = text.clone().into_bytes();
        bytes[text.find("model\"").unwrap()] = 0xff;
        fs_err::write(&path, bytes).unwrap();
        let result = EvalState::resume(path.clone(), &of("model"), &[json!(1)]);
        assert!(matches!(result, Err(Error::StateJson { .. })), "not UTF-8");
    }
}
