//! What a new folder gets from the one in whose place it is put.

use std::io;
use std::path::Path;

/// Brings what is in the folder `old` into `new`, which will be put in its place: as second names of the same files or,
/// where the file system has no such names, as copies.
///
/// Of files that both have, `new` gets those of `old` if `replace` is set, and otherwise keeps its own.
///
/// # Errors
/// If a folder cannot be read, or something cannot be written to `new`.
pub fn take_over(old: &Path, new: &Path, replace: bool) -> io::Result<()> {
    for entry in fs_err::read_dir(old)? {
        let entry = entry?;
        let (kind, from) = (entry.file_type()?, entry.path());
        let to = new.join(entry.file_name());
        match fs_err::symlink_metadata(&to) {
            Err(_) if kind.is_dir() => {
                fs_err::create_dir(&to)?;
                take_over(&from, &to, replace)?;
            }
            Err(_) => link_or_copy(&from, &to, kind.is_symlink())?,
            Ok(there) if there.is_dir() && kind.is_dir() => take_over(&from, &to, replace)?,
            Ok(there) if replace && !there.is_dir() && !kind.is_dir() => {
                fs_err::remove_file(&to)?;
                link_or_copy(&from, &to, kind.is_symlink())?;
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

/// A second name for a file or, where the file system has no such names, a copy. `is_link` says whether `from` is a link,
/// which stays one.
///
/// # Errors
/// If `to` cannot be written.
pub fn link_or_copy(from: &Path, to: &Path, is_link: bool) -> io::Result<()> {
    #[cfg(unix)]
    if is_link {
        let goal = fs_err::read_link(from)?;
        return fs_err::os::unix::fs::symlink(goal, to);
    }
    if is_link || fs_err::hard_link(from, to).is_err() {
        fs_err::copy(from, to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::testing::names;

    #[test]
    fn files_that_only_the_old_folder_has_are_kept() {
        for (replace, of_both) in [(false, "new"), (true, "old")] {
            let dir = tempfile::tempdir().unwrap();
            let [old, new] = ["old", "new"].map(|name| dir.path().join(name));
            for (folder, file, text) in [
                (&old, "both", "old"),
                (&old, "notes.txt", "old"),
                (&old, "sub/a", "old"),
                (&new, "both", "new"),
                (&new, "own", "new"),
            ] {
                let path = folder.join(file);
                fs_err::create_dir_all(path.parent().unwrap()).unwrap();
                fs_err::write(path, text).unwrap();
            }
            take_over(&old, &new, replace).unwrap();
            assert_eq!(names(&new), ["both", "notes.txt", "own", "sub"]);
            let text = |name: &str| fs_err::read_to_string(new.join(name)).unwrap();
            assert_eq!(text("both"), of_both);
            assert_eq!(
                (text("notes.txt"), text("sub/a"), text("own")),
                ("old".to_owned(), "old".to_owned(), "new".to_owned())
            );
        }
    }
}
