//! The lock of a run folder: one process at a time works in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::{Error, Result};

/// The file that is locked. It stays in the folder, because a process may wait for it by name.
pub(super) const LOCK_FILE: &str = ".lock";

/// A lock of the operating system on a folder. It ends with this value, or with the process however that ends.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Locks a folder.
    ///
    /// # Errors
    /// [`Error::FolderInUse`] if another run works in it.
    pub(super) fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(LOCK_FILE);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(|error| {
                std::io::Error::new(
                    error.kind(),
                    format!("opening `{}`: {error}", path.display()),
                )
            })?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::FolderInUse {
                folder: folder.to_owned(),
            }),
            Err(TryLockError::Error(error)) => {
                // Some network file systems have no locks; a run is possible there, without the protection.
                tracing::warn!(
                    "`{}` cannot be locked, so make sure that no other process works in it: {error}",
                    folder.display()
                );
                Ok(Self { _file: file })
            }
        }
    }

    /// Whether a run works in a folder now.
    pub(super) fn is_taken(folder: &Path) -> bool {
        let file = OpenOptions::new().write(true).open(folder.join(LOCK_FILE));
        file.is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
    }
}
