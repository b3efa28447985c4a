//! The run folder of a search, and atomic writes into it.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// The folder of one search.
#[derive(Clone, Debug)]
pub struct RunDir {
    root: PathBuf,
}

impl RunDir {
    /// Creates a folder for a new search.
    ///
    /// # Errors
    /// [`Error::RunExists`] if it holds a search; [`Error::Io`] if it cannot be made.
    pub fn create(root: &Path) -> Result<Self> {
        let run = Self::at(root);
        if run.search_state().exists() {
            return Err(Error::RunExists {
                folder: root.to_owned(),
            });
        }
        fs_err::create_dir_all(root)?;
        Ok(run)
    }

    /// Creates a folder for a search and removes an earlier search in it.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be removed or made.
    pub fn recreate(root: &Path) -> Result<Self> {
        // Only a folder that holds a search is removed.
        if Self::at(root).search_state().exists() {
            fs_err::remove_dir_all(root)?;
        }
        Self::create(root)
    }

    /// Opens the folder of a search that was interrupted.
    ///
    /// # Errors
    /// [`Error::NoRun`] if there is no saved state.
    pub fn resume(root: &Path) -> Result<Self> {
        let run = Self::at(root);
        if !run.search_state().is_file() {
            return Err(Error::NoRun {
                folder: root.to_owned(),
                state: run.search_state(),
            });
        }
        Ok(run)
    }

    fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The path of the saved state.
    pub fn search_state(&self) -> PathBuf {
        self.path("search/state.json")
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
        let mut text = serde_json::to_string_pretty(value)?;
        text.push('\n');
        self.write(name, &text)
    }
}

/// Reads a JSON file written by this crate.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs_err::read_to_string(path)?;
    serde_json::from_str(&text).map_err(|source| Error::ReadJson {
        path: path.to_owned(),
        source,
    })
}

/// Serializes items as JSON lines.
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
        let run = RunDir::create(folder.path()).unwrap();
        run.write("deep/a.json", "one").unwrap();
        run.write("deep/a.json", "two").unwrap();
        assert_eq!(
            fs_err::read_to_string(run.path("deep/a.json")).unwrap(),
            "two"
        );
        assert_eq!(fs_err::read_dir(run.path("deep")).unwrap().count(), 1);
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
