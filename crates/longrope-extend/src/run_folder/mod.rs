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

pub(crate) mod change;
mod foreign;
pub(crate) mod kind;
mod lock;
mod settings;
mod sweep;
mod traces;

/// Refuses an empty path, which stands for the working directory.
fn check_path(root: &Path) -> Result<()> {
    if root.as_os_str().is_empty() {
        return Err(Error::NoFolder);
    }
    Ok(())
}

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use change::SettingChange;
pub use kind::RunKind;
pub use settings::RunSettings;
pub(crate) use settings::differences;
use settings::{changes, changes_of_known};
pub(crate) use traces::trace_of_search;

use self::foreign::{foreign_file, sign};
use self::lock::Lock;
use crate::error::{Error, Result};
use crate::json_files::{read_json, write_json};

const RECORD_FILE: &str = "run.json";
const FORMAT: &str = "longrope-run";
const VERSION: u32 = 1;

/// Whether a run is begun or continued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunMode {
    /// It is begun. The folder must not hold a run.
    New,
    /// It is continued. The folder must hold a run of this kind.
    Resume,
    /// It is part of a larger run, such as a stage of a recipe: continued if it has begun.
    Part,
}

impl RunMode {
    /// The mode of a verb with or without `--resume`.
    pub fn from_flag(resume: bool) -> Self {
        if resume { Self::Resume } else { Self::New }
    }
}

/// A run folder that this process has locked.
#[derive(Debug)]
pub struct RunFolder {
    root: PathBuf,
    kind: RunKind,
    _lock: Lock,
}

/// `run.json`
#[derive(Serialize, Deserialize)]
struct Record {
    format: String,
    version: u32,
    kind: RunKind,
    /// Version of the program that began the run.
    tool_version: String,
    /// What must be the same to continue.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    fixed: Value,
    /// The text of `config.toml`.
    #[serde(default)]
    settings: String,
}

/// What a folder holds.
enum Held {
    Nothing,
    Run(Box<Record>),
    /// A run of version 0.1; the kind is `None` if it was killed before there was anything but its `config.toml`.
    Old(Option<RunKind>),
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
            Held::Run(record) if mode == RunMode::Resume => write_settings(root, &record),
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
                write_settings(root, &record)?;
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
        let record = Record {
            format: FORMAT.to_owned(),
            version: VERSION,
            kind: self.kind,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            fixed: settings.fixed.clone(),
            settings: settings.text.to_owned(),
        };
        write_json(&self.path(RECORD_FILE), &record)?;
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

impl Held {
    fn by(root: &Path) -> Result<Self> {
        let path = root.join(RECORD_FILE);
        if path.is_file() {
            let record: Record = read_json(&path)?;
            if record.format != FORMAT || record.version != VERSION {
                return Err(Error::RunVersion {
                    path,
                    format: record.format,
                    version: record.version,
                });
            }
            return Ok(Self::Run(Box::new(record)));
        }
        let kind = RunKind::infer(root);
        Ok(if kind.is_some() || root.join("config.toml").is_file() {
            Self::Old(kind)
        } else {
            Self::Nothing
        })
    }

    /// The kind; `None` if there is no run, or it does not show.
    fn kind(&self) -> Option<RunKind> {
        match self {
            Self::Nothing => None,
            Self::Run(record) => Some(record.kind),
            Self::Old(kind) => *kind,
        }
    }

    fn allows(&self, root: &Path, kind: RunKind, mode: RunMode) -> Result<()> {
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

/// The error for a folder that holds a file of something else, if there is one.
fn refuse(folder: &Path, found: Option<String>) -> Result<()> {
    match found {
        None => Ok(()),
        Some(name) => Err(Error::ForeignFolder {
            folder: folder.to_owned(),
            name,
        }),
    }
}

impl Record {
    /// Checks that a run is continued with what it was begun with.
    fn check(&self, root: &Path, settings: &RunSettings<'_>) -> Result<()> {
        if self.fixed.is_null() || settings.fixed.is_null() {
            return Ok(());
        }
        as_begun(root, changes(&self.fixed, &settings.fixed)?)
    }
}

/// The error for a run that would be continued with other settings than it was begun with, if some differ.
fn as_begun(root: &Path, changes: Vec<SettingChange>) -> Result<()> {
    if changes.is_empty() {
        return Ok(());
    }
    Err(Error::OtherSettings {
        path: root.to_owned(),
        changes,
    })
}

/// Writes the settings for people if they are missing.
fn write_settings(root: &Path, record: &Record) -> Result<()> {
    let path = root.join(record.kind.settings_file());
    if path.is_file() || record.settings.is_empty() {
        return Ok(());
    }
    Ok(longrope_data::write_atomically(
        &path,
        record.settings.as_bytes(),
    )?)
}
