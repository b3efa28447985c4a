//! What killed processes left of files and folders that they were writing.
//!
//! The name of a temporary file or folder tells what it was to become, and it is locked as long as its process lives. So
//! one that belongs to a target and is not locked is left over.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::parent::parent;
use crate::fingerprint::sha256_hex;

/// The file in a temporary folder that is locked.
const LOCK_FILE: &str = "lock";
/// The folder that is written, in a temporary folder.
pub(super) const NEW: &str = "new";
/// The folder that was replaced, in a temporary folder.
pub(super) const OLD: &str = "old";
/// Characters of the hash in a name.
const HASH_LEN: usize = 8;

/// How the name of a temporary file or folder begins that will become `target`. It is short, however long the name of
/// `target` is.
pub(super) fn beginning(prefix: &str, target: &Path) -> String {
    let name = target.file_name().unwrap_or_default();
    let hash = sha256_hex(&[name.as_encoded_bytes()]);
    format!("{prefix}{}-", &hash[..HASH_LEN])
}

/// Locks a temporary folder until the result is dropped. It is used without a lock where the file system has none.
///
/// # Errors
/// If its lock file cannot be made.
pub(super) fn lock_folder(temporary: &Path) -> io::Result<File> {
    let file = fs_err::File::create(temporary.join(LOCK_FILE))?.into_file();
    lock_file(&file);
    Ok(file)
}

/// Locks a temporary file until it is closed. It is used without a lock where the file system has none.
pub(super) fn lock_file(file: &File) {
    // One who looks whether it is left over holds the lock for an instant.
    let _ = file.lock();
}

/// Removes the temporary files and folders with this prefix that killed processes left of their attempts to write `target`.
/// What is in use stays, and so does what cannot be removed.
///
/// If such a process was killed between the two renames that put a new folder in the place of an old one, the new one is
/// put there first.
pub fn remove_leftovers(target: &Path, prefix: &str) {
    let mut targets = vec![target.to_owned()];
    targets.extend(fs_err::canonicalize(target).ok().filter(|it| it != target));
    for target in targets {
        let beginning = beginning(prefix, &target);
        for path in named(parent(&target), &beginning) {
            put_in_place(&path, &target);
            remove(&path);
        }
    }
}

/// Removes the temporary files and folders in a folder with this prefix that killed processes left. What is in use stays,
/// and so does what cannot be removed.
pub fn remove_leftovers_in(folder: &Path, prefix: &str) {
    for path in named(folder, prefix) {
        remove(&path);
    }
}

/// Whether a process writes a temporary file or folder now. Those of earlier versions are never locked.
pub fn is_being_written(temporary: &Path) -> bool {
    opened(temporary).is_some_and(|file| file.try_lock().is_err())
}

/// Whether a temporary folder has both the old and the new content of a folder that a killed process was replacing.
pub fn holds_both(temporary: &Path) -> bool {
    temporary.join(OLD).is_dir() && temporary.join(NEW).is_dir()
}

/// Paths in a folder whose names begin in this way; none if it cannot be read.
fn named(folder: &Path, beginning: &str) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(folder).into_iter().flatten().flatten();
    let is_named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.as_encoded_bytes().starts_with(beginning.as_bytes())
    };
    let paths = entries.map(|entry| entry.path());
    paths.filter(is_named).collect()
}

/// The file that is locked while a process writes; `None` if there is none, as for links and what earlier versions wrote.
fn opened(temporary: &Path) -> Option<File> {
    let kind = fs_err::symlink_metadata(temporary).ok()?;
    let path = if kind.is_dir() {
        temporary.join(LOCK_FILE)
    } else if kind.is_file() {
        temporary.to_owned()
    } else {
        return None;
    };
    // A file that replaces one that is only read has its permissions.
    let for_writing = File::options().read(true).write(true).open(&path);
    let for_reading = || fs_err::File::open(&path).map(fs_err::File::into_file);
    for_writing.or_else(|_| for_reading()).ok()
}

/// The lock of a temporary file or folder if it is left over. One with nothing in it may just have been made by a process
/// that has not locked it yet.
fn lock_of_leftover(temporary: &Path) -> Option<File> {
    let file = opened(temporary)?;
    file.try_lock().ok()?;
    let has_content = if temporary.is_dir() {
        [NEW, OLD].iter().any(|name| temporary.join(name).exists())
    } else {
        file.metadata().is_ok_and(|it| it.len() > 0)
    };
    has_content.then_some(file)
}

/// Ends the replacement of a folder if its process was killed after the old one was moved away: the new one is complete.
fn put_in_place(temporary: &Path, target: &Path) {
    let (new, old) = (temporary.join(NEW), temporary.join(OLD));
    let was_cut_off = old.is_dir() && new.is_dir() && fs_err::symlink_metadata(target).is_err();
    let is_left = lock_of_leftover(temporary).is_some();
    if was_cut_off
        && is_left
        && let Err(error) = fs_err::rename(&new, target)
    {
        tracing::warn!("a folder that a killed process has written is not in its place: {error}");
    }
}

fn remove(temporary: &Path) {
    let Some(lock) = lock_of_leftover(temporary) else {
        return;
    };
    let is_folder = temporary.is_dir();
    if holds_both(temporary) {
        // Both are the only copies of what they hold.
        tracing::warn!(
            "`{}` is kept: it has the old and the new content of a folder that a killed process was replacing",
            temporary.display()
        );
        return;
    }
    // Some systems do not remove files that are open.
    drop(lock);
    let removed = if is_folder {
        fs_err::remove_dir_all(temporary)
    } else {
        fs_err::remove_file(temporary)
    };
    match removed {
        Ok(()) => tracing::info!(
            "removed `{}`, left by a process that was killed",
            temporary.display()
        ),
        Err(error) => tracing::warn!("a process that was killed left a file: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::testing::names;
    use crate::atomic::{StagedFile, create_folder};
    use std::io::Write;

    const PREFIX: &str = ".writing-";

    /// What a process leaves that is killed while it writes `target`: a folder with these names in it.
    fn left(target: &Path, number: u32, inside: &[&str]) -> PathBuf {
        let name = format!("{}{number}", beginning(PREFIX, target));
        let temporary = target.with_file_name(name);
        fs_err::create_dir(&temporary).unwrap();
        drop(lock_folder(&temporary).unwrap());
        for name in inside {
            fs_err::create_dir(temporary.join(name)).unwrap();
            fs_err::write(temporary.join(name).join("file"), name).unwrap();
        }
        temporary
    }

    #[test]
    fn what_a_killed_process_left_of_a_target_goes_and_everything_else_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (target, other) = (dir.path().join("model"), dir.path().join("other"));
        let dead = left(&target, 1, &[NEW]);
        let (of_other, just_made) = (left(&other, 1, &[NEW]), left(&target, 2, &[]));
        let file = dir.path().join(format!("{}3", beginning(PREFIX, &target)));
        fs_err::write(&file, "half").unwrap();
        let of_earlier_version = dir.path().join(".writing-abc");
        fs_err::create_dir_all(of_earlier_version.join(NEW)).unwrap();
        let written = create_folder(&target, PREFIX, |_| {
            remove_leftovers(&target, PREFIX);
            io::Result::Ok(names(dir.path()))
        });
        for (path, stays) in [
            (&dead, false),
            (&file, false),
            (&of_other, true),
            (&just_made, true),
            (&of_earlier_version, true),
            (&target, true),
        ] {
            assert_eq!(path.exists(), stays, "{}", path.display());
        }
        // The one that was being written, and the three that stay.
        assert_eq!(written.unwrap().len(), 4);
        remove_leftovers_in(dir.path(), PREFIX);
        assert!(!of_other.exists());
    }

    #[test]
    fn a_file_that_is_being_written_stays() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model.gguf");
        let mut staged = StagedFile::new(&target).unwrap();
        staged.write_all(b"half").unwrap();
        let temporary = &named(dir.path(), PREFIX)[0];
        assert!(is_being_written(temporary));
        remove_leftovers(&target, PREFIX);
        staged.write_all(b" and half").unwrap();
        staged.publish().unwrap();
        assert_eq!(fs_err::read_to_string(&target).unwrap(), "half and half");
        assert!(!is_being_written(&target));
    }

    #[test]
    fn a_replacement_that_was_cut_off_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        let temporary = left(&target, 1, &[NEW, OLD]);
        // Nobody knows here where it belongs.
        remove_leftovers_in(dir.path(), PREFIX);
        assert!(temporary.join(NEW).is_dir());
        remove_leftovers(&target, PREFIX);
        assert_eq!(names(dir.path()), ["model"]);
        assert_eq!(fs_err::read_to_string(target.join("file")).unwrap(), NEW);
    }
}
