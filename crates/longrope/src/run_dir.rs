//! A run folder: what is in it, and writing there without ever leaving half a file.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde::Serialize;

use crate::hint::Hint;

/// The folder of one run.
#[derive(Clone, Debug)]
pub(crate) struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Makes a folder for a new run.
    pub(crate) fn create(root: &Path) -> Result<Self> {
        let run = Self {
            root: root.to_owned(),
        };
        if run.search_state().exists() {
            return Err(
                anyhow!("`{}` already holds a search", root.display()).context(Hint(
                    "continue it with --resume, or choose another --out".to_owned(),
                )),
            );
        }
        fs_err::create_dir_all(root)?;
        Ok(run)
    }

    /// Makes a folder for a run that may always be repeated, in the place of an earlier one.
    pub(crate) fn recreate(root: &Path) -> Result<Self> {
        let run = Self {
            root: root.to_owned(),
        };
        // Only what is recognized as a run is taken away.
        if run.search_state().exists() {
            fs_err::remove_dir_all(root)?;
        }
        Self::create(root)
    }

    /// Opens the folder of a run that was interrupted.
    pub(crate) fn resume(root: &Path) -> Result<Self> {
        let run = Self {
            root: root.to_owned(),
        };
        if !run.search_state().is_file() {
            return Err(anyhow!(
                "`{}` holds no search to resume, expected `{}`",
                root.display(),
                run.search_state().display()
            )
            .context(Hint(
                "check --out, or begin the search by leaving out --resume".to_owned(),
            )));
        }
        Ok(run)
    }

    /// A path inside.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Where a search keeps its state.
    pub(crate) fn search_state(&self) -> PathBuf {
        self.path("search/state.json")
    }

    /// Writes a file inside.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<()> {
        write_atomically(&self.path(name), content)
    }
}

/// Writes a text file so that its path holds the old content or the new one, never a part.
pub(crate) fn write_atomically(path: &Path, content: &str) -> Result<()> {
    Ok(longrope_data::write_atomically(path, content.as_bytes())?)
}

/// One JSON object per line.
pub(crate) fn json_lines<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<String> {
    let mut text = String::new();
    for item in items {
        text.push_str(&serde_json::to_string(&item)?);
        text.push('\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_replaced_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/a.json");
        write_atomically(&path, "one").unwrap();
        write_atomically(&path, "two").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs_err::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_with_a_search_is_not_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        assert!(RunDir::resume(folder.path()).is_err());
        let run = RunDir::create(folder.path()).unwrap();
        run.write("search/state.json", "{}").unwrap();
        assert!(RunDir::create(folder.path()).is_err());
        assert!(RunDir::resume(folder.path()).is_ok());
        assert!(RunDir::recreate(folder.path()).is_ok());
        assert!(RunDir::resume(folder.path()).is_err());
    }
}
