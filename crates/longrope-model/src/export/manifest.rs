//! Which files an export has written, so that a later one can replace them and nothing else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The list of files in an exported folder.
pub(super) const MANIFEST_FILE: &str = "longrope-export.json";
const FORMAT: &str = "longrope-export";
const VERSION: u32 = 1;

/// Files that the program adds to an export later.
const ADDED_LATER: [&str; 1] = ["rope.json"];

/// The content of [`MANIFEST_FILE`].
#[derive(Debug, Serialize, Deserialize)]
struct Manifest {
    format: String,
    version: u32,
    /// Paths relative to the folder, with `/`, sorted.
    files: BTreeSet<String>,
}

/// What an export finds at its place.
#[derive(Debug)]
pub(super) struct Place {
    /// The folder to write, without links in it if it exists.
    pub(super) folder: PathBuf,
    /// Files that an earlier export has written there.
    written: BTreeSet<String>,
}

/// Checks that an export may write the folder `target`: it does not exist or, with `overwrite`, it is empty or an
/// earlier export. The folder of the source, the working directory and the folders around them are never replaced.
pub(super) fn check_place(target: &Path, source: &Path, overwrite: bool) -> Result<Place> {
    if is_free(target, overwrite)? {
        return Ok(Place {
            folder: target.to_owned(),
            written: BTreeSet::new(),
        });
    }
    let kept = |problem: &str| Error::OutputKept {
        path: target.to_owned(),
        problem: problem.to_owned(),
    };
    if !target.is_dir() {
        return Err(kept("it is not a folder"));
    }
    let folder = fs_err::canonicalize(target)?;
    if fs_err::canonicalize(source)?.starts_with(&folder) {
        return Err(kept("it is the folder of the model, or contains it"));
    }
    if fs_err::canonicalize(".")?.starts_with(&folder) {
        return Err(kept("it is the working directory, or contains it"));
    }
    let written = written(&folder).ok_or_else(|| kept("longrope export did not write it"))?;
    Ok(Place { folder, written })
}

/// Whether nothing is at `target`. What is there and may not be overwritten is an error.
pub(super) fn is_free(target: &Path, overwrite: bool) -> Result<bool> {
    if fs_err::symlink_metadata(target).is_err() {
        return Ok(true);
    }
    if overwrite {
        return Ok(false);
    }
    Err(Error::OutputExists {
        path: target.to_owned(),
    })
}

/// Whether a folder is empty or was written by an export, so that another export may replace it.
pub fn is_replaceable(folder: &Path) -> bool {
    written(folder).is_some()
}

/// The files that exports have written to a folder: none if it is empty, `None` if it is no folder of theirs.
fn written(folder: &Path) -> Option<BTreeSet<String>> {
    if fs_err::read_dir(folder).ok()?.next().is_none() {
        return Some(BTreeSet::new());
    }
    read(folder)
}

fn read(folder: &Path) -> Option<BTreeSet<String>> {
    let text = fs_err::read_to_string(folder.join(MANIFEST_FILE)).ok()?;
    let manifest: Manifest = serde_json::from_str(&text).ok()?;
    let is_ours = manifest.format == FORMAT && manifest.version == VERSION;
    is_ours.then_some(manifest.files)
}

/// Completes a new export in `staging`: takes over the files in its place that no export has written, then lists the
/// files that are the export's own.
pub(super) fn complete(place: &Place, staging: &Path) -> Result<()> {
    let mut files = BTreeSet::from(ADDED_LATER.map(str::to_owned));
    files.insert(MANIFEST_FILE.to_owned());
    list(staging, "", &mut files)?;
    if place.folder.is_dir() {
        take_over(place, "", staging, &files)?;
    }
    let manifest = Manifest {
        format: FORMAT.to_owned(),
        version: VERSION,
        files,
    };
    let text = serde_json::to_string_pretty(&manifest).map_err(std::io::Error::from)?;
    fs_err::write(staging.join(MANIFEST_FILE), text + "\n")?;
    Ok(())
}

/// Adds the paths of all files in the subfolder `below` of `folder`.
fn list(folder: &Path, below: &str, files: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs_err::read_dir(folder.join(below))? {
        let entry = entry?;
        let name = relative(below, &entry.file_name().to_string_lossy());
        if entry.file_type()?.is_dir() {
            list(folder, &name, files)?;
        } else {
            files.insert(name);
        }
    }
    Ok(())
}

/// Brings the files in the subfolder `below` of the old folder that are not in its list to `staging`.
fn take_over(place: &Place, below: &str, staging: &Path, new: &BTreeSet<String>) -> Result<()> {
    for entry in fs_err::read_dir(place.folder.join(below))? {
        let entry = entry?;
        let kept = |problem: String| Error::OutputKept {
            path: place.folder.clone(),
            problem,
        };
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else {
            return Err(kept(format!(
                "the name of its file `{}` is not UTF-8",
                file_name.display()
            )));
        };
        let name = relative(below, file_name);
        let to = staging.join(&name);
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if new.contains(&name) {
                return Err(kept(format!(
                    "it has the folder `{name}`, which longrope export did not write, in the place of a file"
                )));
            }
            // Folders of the old export that are empty now are left out.
            if !place.written.iter().any(|file| is_below(file, &name)) {
                fs_err::create_dir_all(&to)?;
            }
            take_over(place, &name, staging, new)?;
        } else if !place.written.contains(&name) && name != MANIFEST_FILE {
            if new.contains(&name) {
                return Err(kept(format!(
                    "its file `{name}` was not written by longrope export, and would be replaced"
                )));
            }
            if let Some(folder) = to.parent() {
                fs_err::create_dir_all(folder)?;
            }
            longrope_data::link_or_copy(&entry.path(), &to, kind.is_symlink())?;
        }
    }
    Ok(())
}

fn relative(below: &str, name: &str) -> String {
    if below.is_empty() {
        name.to_owned()
    } else {
        format!("{below}/{name}")
    }
}

fn is_below(file: &str, folder: &str) -> bool {
    file.strip_prefix(folder)
        .is_some_and(|rest| rest.starts_with('/'))
}
