//! What a folder holds, and whether a run can be begun or continued in it.

use std::path::Path;

use super::foreign::{foreign_file, foreign_file_beside};
use super::kind::RunKind;
use super::mode::RunMode;
use super::old_settings::holds_settings;
use super::record::{RECORD_FILE, Record};
use crate::error::{Error, Result};

/// What a folder holds.
pub(super) enum Held {
    Nothing,
    Run(Box<Record>),
    /// A run of version 0.1; the kind is `None` if it was killed before there was anything but its `config.toml`.
    Old(Option<RunKind>),
}

impl Held {
    /// What this folder holds.
    ///
    /// # Errors
    /// If its `run.json` cannot be read.
    pub(super) fn by(root: &Path) -> Result<Self> {
        let path = root.join(RECORD_FILE);
        if path.is_file() {
            return Ok(Self::Run(Box::new(Record::read(&path)?)));
        }
        let kind = RunKind::infer(root);
        Ok(if kind.is_some() || has_only_settings(root) {
            Self::Old(kind)
        } else {
            Self::Nothing
        })
    }

    /// The kind; `None` if there is no run, or it does not show.
    pub(super) fn kind(&self) -> Option<RunKind> {
        match self {
            Self::Nothing => None,
            Self::Run(record) => Some(record.kind),
            Self::Old(kind) => *kind,
        }
    }

    /// Checks that a run of this kind can be begun or continued in the folder.
    pub(super) fn allows(&self, root: &Path, kind: RunKind, mode: RunMode) -> Result<()> {
        let folder = root.to_owned();
        match (mode, self) {
            (RunMode::New, Self::Nothing) => refuse(root, foreign_file(root)),
            (RunMode::Part, Self::Nothing) => Ok(()),
            (RunMode::Resume, Self::Nothing) => Err(Error::NoRun { folder, kind }),
            _ if self.kind().is_some_and(|found| found != kind) => Err(Error::OtherKind {
                folder,
                found: self.kind().unwrap_or(kind),
                expected: kind,
            }),
            (RunMode::New, _) => Err(Error::RunExists { folder, kind }),
            (RunMode::Resume | RunMode::Part, _) => Ok(()),
        }
    }
}

/// Whether a folder has the `config.toml` of a run and nothing of others.
fn has_only_settings(root: &Path) -> bool {
    const SETTINGS: &str = "config.toml";
    holds_settings(&root.join(SETTINGS)) && foreign_file_beside(root, SETTINGS).is_none()
}

/// The error for a folder that holds a file of something else, if there is one.
pub(super) fn refuse(folder: &Path, found: Option<String>) -> Result<()> {
    match found {
        None => Ok(()),
        Some(name) => Err(Error::ForeignFolder {
            folder: folder.to_owned(),
            name,
        }),
    }
}
