//! Files that are replaced as a whole.

use std::fs::{File, Metadata, Permissions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::leftovers::{beginning, lock_file};
use super::parent::parent;

/// How the names of files begin while they are written; see [`remove_leftovers`](crate::remove_leftovers).
pub const STAGED_PREFIX: &str = ".writing-";

/// Writes a file, and creates the folders it lies in.
///
/// A link stays a link, and the file that it names is replaced. A file that is replaced keeps its permissions. What is not a
/// file, such as a pipe or a device, is written to and stays what it is.
///
/// # Errors
/// If a folder or the file cannot be written, for example because the disk is full. The file then has its old content.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = StagedFile::new(path)?;
    file.write_all(bytes)?;
    file.publish()
}

/// A file that is written beside the one it will replace; see [`write_atomically`].
///
/// It is deleted if it is dropped before it is [published](Self::publish).
#[derive(Debug)]
pub struct StagedFile {
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// A temporary file, and the file to replace.
    Beside(NamedTempFile, PathBuf),
    /// A pipe or a device.
    Direct(File),
}

impl StagedFile {
    /// Creates a temporary file next to `path`.
    ///
    /// # Errors
    /// If the folder of `path` cannot be created or written to.
    pub fn new(path: &Path) -> io::Result<Self> {
        let existing = fs_err::metadata(path).ok();
        if is_direct(path, existing.as_ref()) {
            // Appends, because standard output may be a file that others have written to.
            let file = File::options().append(true).open(path)?;
            return Ok(Self {
                place: Place::Direct(file),
            });
        }
        let target = behind_links(path)?;
        let folder = parent(&target);
        fs_err::create_dir_all(folder)?;
        let prefix = beginning(STAGED_PREFIX, &target);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix);
        // As for any new file, the system takes away what the user's mask forbids.
        #[cfg(unix)]
        builder.permissions(ordinary());
        let file = builder.tempfile_in(folder)?;
        lock_file(file.as_file());
        if let Some(existing) = existing {
            file.as_file().set_permissions(existing.permissions())?;
        }
        Ok(Self {
            place: Place::Beside(file, target),
        })
    }

    /// Flushes the file to disk and renames it to its path.
    ///
    /// # Errors
    /// As [`write_atomically`].
    pub fn publish(self) -> io::Result<()> {
        match self.place {
            Place::Direct(mut file) => file.flush(),
            Place::Beside(file, target) => {
                file.as_file().sync_all()?;
                file.persist(&target)
                    .map_err(|error| not_replaced(&target, &error.error))?;
                Ok(())
            }
        }
    }

    /// As [`Self::publish`], but never replaces a file, not even one that another process has just written.
    ///
    /// # Errors
    /// As [`write_atomically`], and [`io::ErrorKind::AlreadyExists`] if there is something at the path.
    pub fn publish_new(self) -> io::Result<()> {
        match self.place {
            Place::Direct(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Place::Beside(file, target) => {
                file.as_file().sync_all()?;
                file.persist_noclobber(target)
                    .map_err(|error| error.error)?;
                Ok(())
            }
        }
    }
}

/// The error of a file that could not take its place, with the path, which the system does not say.
fn not_replaced(target: &Path, error: &io::Error) -> io::Error {
    let message = format!("cannot replace `{}`: {error}", target.display());
    io::Error::new(error.kind(), message)
}

/// Whether a path is written to as it is: a pipe or a device, or a file of this process by a name such as `/dev/stdout`.
fn is_direct(path: &Path, existing: Option<&Metadata>) -> bool {
    let is_special = |it: &Metadata| !it.is_file() && !it.is_dir();
    // Not all of `/dev`: ordinary files lie in `/dev/shm`.
    let streams = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc"];
    let names_stream = streams.iter().any(|name| path.starts_with(name));
    existing.is_some_and(|it| is_special(it) || names_stream && it.is_file())
}

/// The file that a path leads to, which need not exist.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    match fs_err::canonicalize(path) {
        Ok(target) => Ok(target),
        Err(_) if path.is_symlink() => Ok(parent(path).join(fs_err::read_link(path)?)),
        Err(_) => Ok(path.to_owned()),
    }
}

/// Readable and writable by all whom the user's mask allows it.
#[cfg(unix)]
fn ordinary() -> Permissions {
    use std::os::unix::fs::PermissionsExt;
    Permissions::from_mode(0o666)
}

impl Write for StagedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.place {
            Place::Beside(file, _) => file.write(bytes),
            Place::Direct(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match &mut self.place {
            Place::Beside(file, _) => file.flush(),
            Place::Direct(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atomic::testing::names;

    #[test]
    fn a_file_is_replaced_as_a_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("parent/a.txt");
        for text in ["first", "second"] {
            write_atomically(&path, text.as_bytes()).unwrap();
            assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(names(path.parent().unwrap()), ["a.txt"]);
    }

    #[test]
    fn what_is_new_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        let staged = StagedFile::new(&path).unwrap();
        write_atomically(&path, b"other").unwrap();
        let error = staged.publish_new().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "other");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_and_permissions_stay() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("a.txt"), dir.path().join("link"));
        write_atomically(&file, b"first").unwrap();
        let mode = |path: &Path| fs_err::metadata(path).unwrap().permissions().mode() & 0o777;
        let plain = dir.path().join("plain");
        fs_err::write(&plain, "text").unwrap();
        assert_eq!(mode(&file), mode(&plain), "a new file is an ordinary one");
        fs_err::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
        symlink("a.txt", &link).unwrap();
        write_atomically(&link, b"second").unwrap();
        assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "second");
        assert_eq!(mode(&file), 0o600);
        // A link to nothing yet.
        fs_err::remove_file(&file).unwrap();
        write_atomically(&link, b"third").unwrap();
        assert_eq!(fs_err::read_to_string(&file).unwrap(), "third");
        assert!(fs_err::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_stream_that_is_a_file_keeps_what_it_has() {
        use std::os::fd::AsRawFd;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out.txt");
        let mut stream = fs_err::File::create(&path).unwrap();
        stream.write_all(b"first ").unwrap();
        let name = format!("/dev/fd/{}", stream.as_raw_fd());
        write_atomically(Path::new(&name), b"second").unwrap();
        assert_eq!(fs_err::read_to_string(&path).unwrap(), "first second");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn files_in_shared_memory_are_replaced() {
        let Ok(dir) = tempfile::tempdir_in("/dev/shm") else {
            return;
        };
        let path = dir.path().join("a.txt");
        for text in ["first", "second"] {
            write_atomically(&path, text.as_bytes()).unwrap();
            assert_eq!(fs_err::read_to_string(&path).unwrap(), text);
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn devices_and_pipes_are_written_to() {
        use std::os::fd::AsRawFd;
        use std::os::unix::fs::FileTypeExt;
        write_atomically(Path::new("/dev/null"), b"text").unwrap();
        let kind = fs_err::metadata("/dev/null").unwrap().file_type();
        assert!(kind.is_char_device());

        let (mut reader, writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", writer.as_raw_fd());
        write_atomically(Path::new(&path), b"text").unwrap();
        drop(writer);
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).unwrap();
        assert_eq!(text, "text");
    }
}
