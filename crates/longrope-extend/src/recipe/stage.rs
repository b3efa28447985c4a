//! A stage that can be run, and one that is done.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::RecipeError;
use super::plan::{DONE_FILE, Verb};
use crate::error::Result;
use crate::json_files::read_json;

/// Says where on this machine a model is that a recipe names, in its words; `None` if it is nowhere yet.
pub type Locate = fn(&str) -> Option<PathBuf>;

/// A stage with everything it is run with.
#[derive(Clone, Debug)]
pub struct PlannedStage<W> {
    /// Name of the stage.
    pub name: String,
    /// What it does.
    pub verb: Verb,
    /// Its folder, in that of the run.
    pub folder: PathBuf,
    /// Its settings as TOML, saved in its folder as `stage.toml`. `out` is the folder as the settings name it. Other paths in
    /// the folder of the run say what the stage takes from others.
    pub settings: String,
    /// Where the model is that the settings name, for names that are no paths.
    pub locate: Locate,
    /// What the caller's function needs to run it.
    pub work: W,
}

impl<W> PlannedStage<W> {
    /// Whether it is done. It is not run again.
    pub fn is_done(&self) -> bool {
        self.folder.join(DONE_FILE).is_file()
    }
}

/// A stage that is done: `done.json` in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneStage {
    pub(super) format: String,
    pub(super) version: u32,
    /// Name of the stage.
    pub stage: String,
    /// What it did.
    pub verb: Verb,
    /// Time it took, seconds, with that of interrupted processes, but without that of processes that were killed.
    pub elapsed_secs: f64,
    /// Fingerprints of what it took from other stages, by path in the folder of the run. Stages that took nothing have none,
    /// and neither have those of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// Fingerprint of the model, if that does not come from another stage. `None` if it could not be read, and in files of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Fingerprints of other files that it took and that no stage has made, by path; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// Reads `done.json`, if the stage is done.
pub(super) fn read_done<W>(stage: &PlannedStage<W>) -> Result<Option<DoneStage>> {
    if !stage.is_done() {
        return Ok(None);
    }
    let done: DoneStage = read_json(&stage.folder.join(DONE_FILE))?;
    if done.verb != stage.verb {
        let error = RecipeError::OtherVerb {
            stage: stage.name.clone(),
            folder: stage.folder.clone(),
            found: done.verb.name(),
            expected: stage.verb.name(),
        };
        return Err(error.into());
    }
    Ok(Some(done))
}

/// The name of the folder of a stage.
pub(super) fn folder_of<W>(stage: &PlannedStage<W>) -> String {
    let name = stage.folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
