//! `run.json`: what a run was begun with.

use std::path::Path;

use longrope_eval::ChangedSetting;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::kind::RunKind;
use super::settings::{RunSettings, changes};
use crate::error::{Error, Result};
use crate::json_files::read_json;

/// Relative to the run folder.
pub(super) const RECORD_FILE: &str = "run.json";
const FORMAT: &str = "longrope-run";
const VERSION: u32 = 1;

/// `run.json`
#[derive(Serialize, Deserialize)]
pub(super) struct Record {
    format: String,
    version: u32,
    pub(super) kind: RunKind,
    /// Version of the program that began the run.
    tool_version: String,
    /// What must be the same to continue.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub(super) fixed: Value,
    /// The text of `config.toml`.
    #[serde(default)]
    pub(super) settings: String,
}

impl Record {
    /// The record of a run that is begun by this version.
    pub(super) fn new(kind: RunKind, settings: &RunSettings<'_>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            kind,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            fixed: settings.fixed.clone(),
            settings: settings.text.to_owned(),
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// [`Error::RunVersion`] if it is of another version; if the file cannot be read.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let record: Self = read_json(path)?;
        if record.format != FORMAT || record.version != VERSION {
            return Err(Error::RunVersion {
                path: path.to_owned(),
                format: record.format,
                version: record.version,
            });
        }
        Ok(record)
    }

    /// Checks that a run is continued with what it was begun with.
    pub(super) fn check(&self, root: &Path, settings: &RunSettings<'_>) -> Result<()> {
        if self.fixed.is_null() || settings.fixed.is_null() {
            return Ok(());
        }
        as_begun(root, changes(&self.fixed, &settings.fixed)?)
    }

    /// Writes the settings for people if they are missing.
    pub(super) fn write_settings(&self, root: &Path) -> Result<()> {
        let path = root.join(self.kind.settings_file());
        if path.is_file() || self.settings.is_empty() {
            return Ok(());
        }
        Ok(longrope_data::write_atomically(
            &path,
            self.settings.as_bytes(),
        )?)
    }
}

/// The error for a run that would be continued with other settings than it was begun with, if some differ.
pub(super) fn as_begun(root: &Path, changes: Vec<ChangedSetting>) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    Err(Error::OtherSettings {
        path: root.to_owned(),
        changes,
    })
}
