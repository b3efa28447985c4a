//! Folders that are replaced as a whole.

use std::io;
use std::path::Path;

use super::leftovers::{NEW, OLD, beginning, lock_folder};
use super::parent::parent;

/// Writes a folder and puts it in the place of `target`, which may exist.
///
/// `write` fills an empty folder next to `target`; the name of the temporary folder around it begins with `prefix`.
/// When `write` succeeds, the new folder is renamed to `target`. If that fails, the old folder is put back. Whatever a
/// failure leaves behind is deleted together with the temporary folder. A process that is killed leaves it;
/// [`remove_leftovers`](crate::remove_leftovers) removes it later.
///
/// Files are not flushed to disk: `write` calls `sync_all` on those that must survive a power failure.
///
/// ```
/// # let dir = tempfile::tempdir()?;
/// # let target = dir.path().join("model");
/// let n_bytes = longrope_data::replace_folder(&target, ".saving-", |folder| {
///     std::fs::write(folder.join("a.txt"), "text")?;
///     std::io::Result::Ok(4)
/// })?;
/// assert_eq!(n_bytes, 4);
/// assert_eq!(std::fs::read_to_string(target.join("a.txt"))?, "text");
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
/// The error of `write`, or an I/O error if a folder cannot be created or renamed. In both cases `target` is as it was
/// before.
pub fn replace_folder<T, E: From<io::Error>>(
    target: &Path,
    prefix: &str,
    write: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    place_folder(target, prefix, write, |new, old| swap(new, target, old))
}

/// As [`replace_folder`], but never replaces a folder with something in it, not even one that another process has just
/// written.
///
/// # Errors
/// As [`replace_folder`], and the I/O error of the system if there is something at `target`.
pub fn create_folder<T, E: From<io::Error>>(
    target: &Path,
    prefix: &str,
    write: impl FnOnce(&Path) -> Result<T, E>,
) -> Result<T, E> {
    // The system refuses to rename a folder to one with something in it.
    place_folder(target, prefix, write, |new, _| fs_err::rename(new, target))
}

/// Writes a new folder beside `target`, and puts it there. `place` gets the new folder and where an old one may go.
fn place_folder<T, E: From<io::Error>>(
    target: &Path,
    prefix: &str,
    write: impl FnOnce(&Path) -> Result<T, E>,
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<T, E> {
    let parent = parent(target);
    fs_err::create_dir_all(parent)?;
    // The new folder lies inside the temporary one, so that it gets ordinary permissions.
    let temporary = tempfile::Builder::new()
        .prefix(&beginning(prefix, target))
        .tempdir_in(parent)?;
    let _lock = lock_folder(temporary.path())?;
    let new = temporary.path().join(NEW);
    fs_err::create_dir(&new)?;
    let written = write(&new)?;
    place(&new, &temporary.path().join(OLD))?;
    Ok(written)
}

/// Renames `new` to `target`, and moves what was there to `old`.
fn swap(new: &Path, target: &Path, old: &Path) -> io::Result<()> {
    if !target.exists() {
        return fs_err::rename(new, target);
    }
    fs_err::rename(target, old)?;
    fs_err::rename(new, target).inspect_err(|_| {
        // The first error is the one that is reported.
        let _ = fs_err::rename(old, target);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::testing::names;

    fn replace(target: &Path, name: &str) -> io::Result<()> {
        replace_folder(target, ".saving-", |folder| {
            fs_err::write(folder.join(name), "text")
        })
    }

    #[test]
    fn a_folder_is_created_and_then_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("parent/model");
        replace(&target, "first").unwrap();
        assert_eq!(names(&target), ["first"]);
        replace(&target, "second").unwrap();
        assert_eq!(names(&target), ["second"]);
        assert_eq!(
            names(target.parent().unwrap()),
            ["model"],
            "nothing is left behind"
        );
    }

    #[test]
    fn what_is_new_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("model");
        let create = |name: &str| {
            create_folder(&folder, ".saving-", |folder| {
                // Another process is done first.
                replace(&dir.path().join("model"), "other")?;
                fs_err::write(folder.join(name), "text")
            })
        };
        create("own").unwrap_err();
        assert_eq!(names(&folder), ["other"]);
        fs_err::remove_dir_all(&folder).unwrap();
        create_folder(&folder, ".saving-", |folder| {
            fs_err::write(folder.join("own"), "text")
        })
        .unwrap();
        assert_eq!(names(&folder), ["own"]);
    }

    #[test]
    fn a_failed_write_leaves_the_old_folder() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        replace(&target, "first").unwrap();
        let result = replace_folder(&target, ".saving-", |folder| {
            fs_err::write(folder.join("half"), "te")?;
            Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(names(&target), ["first"]);
        assert_eq!(names(dir.path()), ["model"]);
    }

    #[test]
    fn a_failed_rename_puts_the_old_folder_back() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("model");
        replace(&target, "first").unwrap();
        // The new folder is gone, so the second of the two renames fails.
        let result = replace_folder(&target, ".saving-", |folder| fs_err::remove_dir(folder));
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(names(&target), ["first"]);
    }
}
