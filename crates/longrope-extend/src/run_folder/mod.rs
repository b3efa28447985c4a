//! The folder of a run: one kind of run, one process at a time, and a beginning that is written as a whole.
//!
//! ```text
//! RUN/run.json     kind and settings of the run; written first, and in one piece
//!     config.toml  the settings for people (`recipe.toml` for a recipe)
//!     .lock        locked while a process works in the folder
//! ```
//!
//! - A folder holds one kind of run: the folder of a search is never that of a training.
//! - A run begins in a folder that is new or empty: files of others are not mixed with those of a run.
//! - Callers validate all settings before they [open](RunFolder::open) the folder. From then on the run can be resumed,
//!   at any moment: before it has saved anything, it begins again with the settings in `run.json`.
//! - Temporary files of processes that were killed are removed when the folder is opened.
//! - Folders of version 0.1 have no `run.json`. Their kind shows in their files.

mod foreign;
mod held;
pub(crate) mod kind;
mod lock;
mod mode;
mod old_settings;
mod record;
mod settings;
mod sweep;
mod traces;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::json_files::write_json;

use foreign::{foreign_file, sign};
use held::{Held, refuse};
pub use kind::RunKind;
use lock::Lock;
pub use mode::RunMode;
use record::{RECORD_FILE, Record, as_begun};
pub use settings::RunSettings;
use settings::changes_of_known;
pub(crate) use settings::differences;
pub(crate) use traces::trace_of_search;

/// A run folder that this process has locked.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    kind: RunKind,
    _lock: Lock,
}

impl RunFolder {
    /// Checks that a run of this kind can be begun or continued in a folder, without taking it.
    ///
    /// For a run that is continued, this also writes `config.toml` if a kill has kept it from being written.
    ///
    /// # Errors
    /// As [`Self::open`], except for differing settings.
    pub fn check(root: &Path, kind: RunKind, mode: RunMode) -> Result<()> {
        let held = Held::by(root)?;
        held.allows(root, kind, mode)?;
        if Lock::is_taken(root) {
            return Err(Error::FolderInUse {
                folder: root.to_owned(),
            });
        }
        match held {
            Held::Run(record) if mode == RunMode::Resume => record.write_settings(root),
            _ => Ok(()),
        }
    }

    /// Checks that results of evaluations may be put into a folder: that of any run, or one that is new or empty.
    ///
    /// # Errors
    /// [`Error::ForeignFolder`] if it holds something else; a `run.json` that cannot be read.
    pub fn check_for_results(root: &Path) -> Result<()> {
        let found = match Held::by(root)? {
            Held::Run(_) => None,
            Held::Old(_) => sign(root),
            Held::Nothing => foreign_file(root),
        };
        refuse(root, found)
    }

    /// Checks some settings against those that the run in a folder was begun with, before all of them are known. Settings
    /// that one side does not have are not compared, nor are empty lists.
    ///
    /// # Errors
    /// [`Error::OtherSettings`]; a `run.json` that cannot be read.
    pub fn check_known(root: &Path, known: &Value) -> Result<()> {
        match Held::by(root)? {
            Held::Run(record) => as_begun(root, changes_of_known(&record.fixed, known)?),
            Held::Nothing | Held::Old(_) => Ok(()),
        }
    }

    /// Whether a folder holds a run of any kind.
    ///
    /// # Errors
    /// If its `run.json` cannot be read.
    pub fn is_run(root: &Path) -> Result<bool> {
        Ok(!matches!(Held::by(root)?, Held::Nothing))
    }

    /// Whether a folder holds a run of this kind.
    ///
    /// # Errors
    /// If its `run.json` cannot be read.
    pub fn holds(root: &Path, kind: RunKind) -> Result<bool> {
        Ok(Held::by(root)?.kind() == Some(kind))
    }

    /// Whether a run of this kind in a folder goes on with the settings that it was begun with. A part of a larger run that
    /// has saved nothing begins again, perhaps with others; see [`Self::open`].
    ///
    /// # Errors
    /// If its `run.json` cannot be read.
    pub fn goes_on(root: &Path, kind: RunKind, mode: RunMode) -> Result<bool> {
        let may_go_on = match mode {
            RunMode::New => false,
            RunMode::Resume => true,
            RunMode::Part => kind.has_work(root),
        };
        Ok(may_go_on && Self::holds(root, kind)?)
    }

    /// What must be the same to continue the run of this kind in a folder: the `fixed` settings that it was begun with.
    /// `Null` if there is no such run, or it does not say.
    ///
    /// # Errors
    /// If its `run.json` cannot be read.
    pub fn fixed(root: &Path, kind: RunKind) -> Result<Value> {
        Ok(match Held::by(root)? {
            Held::Run(record) if record.kind == kind => record.fixed,
            _ => Value::Null,
        })
    }

    /// The settings of the run in a folder as text, as its `run.json` has them; `None` if there is no run, or it does not say.
    ///
    /// # Errors
    /// If its `run.json` cannot be read.
    pub fn settings(root: &Path) -> Result<Option<String>> {
        Ok(match Held::by(root)? {
            Held::Run(record) => Some(record.settings).filter(|text| !text.is_empty()),
            Held::Nothing | Held::Old(_) => None,
        })
    }

    /// Takes a folder for a run, whose settings the caller has validated, and removes temporary files that killed
    /// processes left in it. A folder that does not exist is created.
    ///
    /// # Errors
    /// - [`Error::RunExists`] and [`Error::OtherKind`] if it holds a run that is not to be continued, [`Error::NoRun`] if
    ///   it holds none.
    /// - [`Error::ForeignFolder`] if a run is to be begun in a folder with files that are not of a run.
    /// - [`Error::FolderInUse`] if another process works in it.
    /// - [`Error::OtherSettings`] if the run in it was begun with others.
    /// - Files that cannot be read or written.
    pub fn open(
        root: &Path,
        kind: RunKind,
        mode: RunMode,
        settings: &RunSettings<'_>,
    ) -> Result<Self> {
        check_path(root)?;
        Held::by(root)?.allows(root, kind, mode)?;
        let folder = Self::lock(root, kind)?;
        // Another process may have been faster.
        let held = Held::by(root)?;
        held.allows(root, kind, mode)?;
        sweep::sweep(root);
        match held {
            Held::Run(record) if mode == RunMode::Resume || folder.has_work() => {
                record.check(root, settings)?;
                record.write_settings(root)?;
            }
            Held::Old(_) if mode == RunMode::Resume || folder.has_work() => {}
            _ => folder.begin(settings)?,
        }
        Ok(folder)
    }

    /// Takes a folder to put results of evaluations into it, beside whatever run it holds.
    ///
    /// # Errors
    /// [`Error::FolderInUse`] if another process works in it; files that cannot be read or written.
    pub fn open_for_results(root: &Path) -> Result<Self> {
        check_path(root)?;
        let folder = Self::lock(root, RunKind::Eval)?;
        sweep::sweep(root);
        if matches!(Held::by(root)?, Held::Nothing) {
            folder.begin(&RunSettings::default())?;
        }
        Ok(folder)
    }

    fn lock(root: &Path, kind: RunKind) -> Result<Self> {
        fs_err::create_dir_all(root)?;
        Ok(Self {
            root: root.to_owned(),
            kind,
            _lock: Lock::take(root)?,
        })
    }

    fn begin(&self, settings: &RunSettings<'_>) -> Result<()> {
        write_json(&self.path(RECORD_FILE), &Record::new(self.kind, settings))?;
        let path = self.path(self.kind.settings_file());
        if settings.text.is_empty() {
            return Ok(());
        }
        Ok(longrope_data::write_atomically(
            &path,
            settings.text.as_bytes(),
        )?)
    }

    /// Whether the run has saved something that it can be continued from, or had.
    pub fn has_work(&self) -> bool {
        self.kind.has_work(&self.root)
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file in the folder, completely or not at all.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be written. An existing file is then unchanged.
    pub fn write(&self, name: &str, content: &str) -> Result<()> {
        Ok(longrope_data::write_atomically(
            &self.path(name),
            content.as_bytes(),
        )?)
    }

    /// Writes a value as indented JSON.
    pub(crate) fn write_json(&self, name: &str, value: &impl Serialize) -> Result<()> {
        write_json(&self.path(name), value)
    }
}

/// Refuses an empty path, which stands for the working directory.
fn check_path(root: &Path) -> Result<()> {
    if root.as_os_str().is_empty() {
        return Err(Error::NoFolder);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
