//! Expands the paths a user gives to the files to read, in an order that does not depend on the file system.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io;
use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use super::zstd::too_wide_window;
use crate::{Error, Result};

/// The kind of content, by the file name without the ending for compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// The whole file is one document.
    Text,
    /// Each line is a JSON object with one document.
    JsonLines,
    /// Each row is one document. Such files have a compression of their own.
    Parquet,
}

/// The compression, by the file name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

const EXPECTED: &str =
    "`.txt`, `.text`, `.md` or `.jsonl`, plain or followed by `.gz` or `.zst`, or in `.parquet`";

/// Compression and kind of a file, by its name. The kind is `None` for files that are skipped in folders.
pub(crate) fn classify(path: &Path) -> (Compression, Option<FileKind>) {
    let compression = match extension(path).as_deref() {
        Some("gz") => Compression::Gzip,
        Some("zst") => Compression::Zstd,
        _ => Compression::None,
    };
    let bare = if compression == Compression::None {
        path.to_path_buf()
    } else {
        path.with_extension("")
    };
    let kind = match extension(&bare).as_deref() {
        Some("txt" | "text" | "md") => Some(FileKind::Text),
        Some("jsonl") => Some(FileKind::JsonLines),
        Some("parquet") if compression == Compression::None => Some(FileKind::Parquet),
        _ => None,
    };
    (compression, kind)
}

/// How a file is read that the user gave by name. `.json` means JSON lines, as in many data sets; files with unknown
/// endings are plain text.
pub(crate) fn kind_of_named_file(path: &Path) -> FileKind {
    let (compression, kind) = classify(path);
    let bare = if compression == Compression::None {
        path.to_path_buf()
    } else {
        path.with_extension("")
    };
    match kind {
        Some(kind) => kind,
        None if extension(&bare).as_deref() == Some("json") => FileKind::JsonLines,
        None => FileKind::Text,
    }
}

/// Replaces each folder by the text files below it, sorted by path; files stay as they are. A file that is given more than
/// once, under whatever name, is left out after the first time, with a warning in the log.
pub(crate) fn expand(paths: &[impl AsRef<Path>]) -> Result<Vec<PathBuf>> {
    if paths.is_empty() {
        return Err(Error::NoPaths);
    }
    let mut files = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let metadata = fs_err::metadata(path).map_err(|source| read_error(path, source))?;
        if metadata.is_dir() {
            files.extend(text_files_below(path)?);
        } else {
            files.push(path.to_path_buf());
        }
    }
    let (files, repeated) = once_each(files);
    if !repeated.is_empty() {
        tracing::warn!("{}", describe(&repeated));
    }
    Ok(files)
}

/// A name of a file that was given before, and the name it was given by.
struct Repeated {
    path: PathBuf,
    first: PathBuf,
}

/// Keeps the first name of every file. Pipes and devices are kept: reading them twice may give two texts.
fn once_each(files: Vec<PathBuf>) -> (Vec<PathBuf>, Vec<Repeated>) {
    let mut seen: HashMap<FileIdentity, PathBuf> = HashMap::new();
    let (mut kept, mut repeated) = (Vec::new(), Vec::new());
    for path in files {
        match identity(&path).map(|identity| seen.entry(identity)) {
            Some(Entry::Occupied(first)) => repeated.push(Repeated {
                path,
                first: first.get().clone(),
            }),
            Some(Entry::Vacant(place)) => {
                place.insert(path.clone());
                kept.push(path);
            }
            None => kept.push(path),
        }
    }
    (kept, repeated)
}

/// What is the same for all names of a file: the device and its number there.
#[cfg(unix)]
type FileIdentity = (u64, u64);

#[cfg(unix)]
fn identity(path: &Path) -> Option<FileIdentity> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs_err::metadata(path).ok()?;
    metadata.is_file().then(|| (metadata.dev(), metadata.ino()))
}

/// What is the same for all names of a file: its path without links.
#[cfg(not(unix))]
type FileIdentity = PathBuf;

#[cfg(not(unix))]
fn identity(path: &Path) -> Option<FileIdentity> {
    path.is_file()
        .then(|| fs_err::canonicalize(path).ok())
        .flatten()
}

/// A sentence that names the files that were given more than once.
fn describe(repeated: &[Repeated]) -> String {
    const MOST_NAMED: usize = 5;
    let name = |one: &Repeated| {
        if one.path == one.first {
            format!("`{}`", one.path.display())
        } else {
            format!(
                "`{}`, which is `{}`",
                one.path.display(),
                one.first.display()
            )
        }
    };
    let mut names: Vec<String> = repeated.iter().take(MOST_NAMED).map(name).collect();
    if repeated.len() > MOST_NAMED {
        names.push(format!("{} more", repeated.len() - MOST_NAMED));
    }
    format!(
        "text that is given more than once is read once: {}",
        names.join("; ")
    )
}

/// Checks that a path is a file, or the end of a pipe such as `/dev/stdin` in `zcat .. | longrope ..`. The name of a pipe
/// could block for ever and devices never end.
pub(crate) fn check_is_readable(path: &Path) -> Result<()> {
    let metadata = fs_err::metadata(path).map_err(|source| read_error(path, source))?;
    match kind_of_special(path, &metadata) {
        None => Ok(()),
        Some(found) => Err(Error::NotAFile {
            path: path.to_path_buf(),
            found,
        }),
    }
}

#[cfg(unix)]
fn kind_of_special(path: &Path, metadata: &std::fs::Metadata) -> Option<&'static str> {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    if kind.is_fifo() {
        // A pipe between two programs has no path of its own.
        return fs_err::canonicalize(path).is_ok().then_some("a named pipe");
    }
    if kind.is_dir() {
        Some("a folder")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_file() {
        None
    } else {
        Some("a device")
    }
}

#[cfg(not(unix))]
fn kind_of_special(_path: &Path, metadata: &std::fs::Metadata) -> Option<&'static str> {
    metadata.is_dir().then_some("a folder")
}

/// [`Error::NotFound`] for a missing file, [`Error::Read`] for all other I/O errors.
pub(crate) fn read_error(path: &Path, source: io::Error) -> Error {
    let path = path.to_path_buf();
    if let Some((window, most)) = too_wide_window(&source) {
        return Error::ZstdWindow { path, window, most };
    }
    match source.kind() {
        io::ErrorKind::NotFound => Error::NotFound { path },
        _ => Error::Read { path, source },
    }
}

/// The text files that are read of a folder, sorted by path.
///
/// # Errors
/// [`Error::NoTextFiles`] if there are none; a folder that cannot be read.
pub fn text_files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    // Data folders are often made of links into a download cache.
    let walk = WalkDir::new(folder).follow_links(true);
    let mut files = Vec::new();
    // The folder itself was named by the user, so its own name may begin with a dot.
    for entry in walk
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name()))
    {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let path = error.path().unwrap_or(folder).to_path_buf();
                let source = error.into();
                if skip_link(&path, &source) {
                    continue;
                }
                return Err(Error::Read { path, source });
            }
        };
        if entry.file_type().is_file() && classify(entry.path()).1.is_some() {
            files.push(entry.into_path());
        }
    }
    if files.is_empty() {
        return Err(Error::NoTextFiles {
            folder: folder.to_path_buf(),
            expected: EXPECTED,
        });
    }
    files.sort();
    Ok(files)
}

/// Whether something that cannot be read is a link that is not for a text: to nowhere, or in a circle. Logs a warning.
fn skip_link(path: &Path, error: &io::Error) -> bool {
    let is_link = fs_err::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let is_hidden = path.file_name().is_some_and(is_hidden);
    // A folder that may not be read may hold texts.
    let is_denied = error.kind() == io::ErrorKind::PermissionDenied;
    let is_skipped = is_link && !is_denied && (is_hidden || classify(path).1.is_none());
    if is_skipped && !is_hidden {
        tracing::warn!("skipped the link `{}`: {error}", path.display());
    }
    is_skipped
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
}

fn extension(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
