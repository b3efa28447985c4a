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
mod tests {
    use super::*;

    fn touch(folder: &Path, names: &[&str]) {
        for name in names {
            let path = folder.join(name);
            fs_err::create_dir_all(path.parent().unwrap()).unwrap();
            fs_err::write(path, "x").unwrap();
        }
    }

    #[test]
    fn folder_gives_visible_text_files_sorted_by_path() {
        let dir = tempfile::tempdir().unwrap();
        touch(
            dir.path(),
            &[
                "b.txt",
                "a/z.md",
                "a/y.jsonl.zst",
                "c.TXT.gz",
                "config.json",
                "x.bin",
                ".hidden.txt",
                ".git/d.txt",
                "a.gz",
                "d.parquet",
                "e.parquet.gz",
            ],
        );
        let files = expand(&[dir.path().to_path_buf()]).unwrap();
        let names: Vec<_> = files
            .iter()
            .map(|file| file.strip_prefix(dir.path()).unwrap().to_str().unwrap())
            .collect();
        assert_eq!(
            names,
            ["a/y.jsonl.zst", "a/z.md", "b.txt", "c.TXT.gz", "d.parquet"]
        );
    }

    #[test]
    fn named_files_keep_their_order_and_may_have_any_ending() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["b.log", "a.json"]);
        let paths = [dir.path().join("b.log"), dir.path().join("a.json")];
        assert_eq!(expand(&paths).unwrap(), paths);
        assert_eq!(kind_of_named_file(&paths[0]), FileKind::Text);
        assert_eq!(kind_of_named_file(&paths[1]), FileKind::JsonLines);
        assert_eq!(
            kind_of_named_file(Path::new("a.json.gz")),
            FileKind::JsonLines
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_file_given_twice_under_any_name_is_read_once() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["deep/a.txt", "deep/b.txt"]);
        let path = |name: &str| dir.path().join(name);
        fs_err::os::unix::fs::symlink(path("deep/a.txt"), path("link.txt")).unwrap();
        fs_err::hard_link(path("deep/a.txt"), path("hard.txt")).unwrap();
        fs_err::os::unix::fs::symlink(path("deep"), path("other")).unwrap();
        let first = path("deep/a.txt");
        for again in [
            "deep/a.txt",
            "deep/../deep/./a.txt",
            "link.txt",
            "hard.txt",
            "other/a.txt",
        ] {
            let files = expand(&[first.clone(), path(again)]).unwrap();
            assert_eq!(files, [first.as_path()], "{again}");
        }
        let files = expand(&[path("deep/b.txt"), path("deep"), path("other")]).unwrap();
        assert_eq!(files, [path("deep/b.txt"), first.clone()]);
        // The files of a folder are different texts, even if they are equal.
        assert_eq!(expand(&[path("deep")]).unwrap().len(), 2);
    }

    #[cfg(unix)]
    #[test]
    fn links_to_nowhere_are_skipped_unless_they_are_texts() {
        let dir = tempfile::tempdir().unwrap();
        touch(dir.path(), &["a.txt", "deep/b.txt"]);
        let link = |to: &str, name: &str| {
            fs_err::os::unix::fs::symlink(to, dir.path().join(name)).unwrap();
        };
        link("nowhere", "latest");
        link("nowhere.bin", "deep/model.bin");
        link("round", "round");
        link("..", "deep/up");
        link("nowhere.txt", ".hidden.txt");
        let files = expand(&[dir.path()]).unwrap();
        let expected = ["a.txt", "deep/b.txt"].map(|name| dir.path().join(name));
        assert_eq!(files, expected);
        link("nowhere.txt", "c.txt");
        let result = expand(&[dir.path()]);
        assert!(
            matches!(&result, Err(Error::Read { path, .. }) if path.ends_with("c.txt")),
            "{result:?}"
        );
    }

    #[test]
    fn files_given_twice_are_named() {
        let repeated = |path: &str, first: &str| Repeated {
            path: path.into(),
            first: first.into(),
        };
        assert_eq!(
            describe(&[repeated("a", "a"), repeated("b", "a")]),
            "text that is given more than once is read once: `a`; `b`, which is `a`"
        );
        let many: Vec<Repeated> = (0..7).map(|_| repeated("a", "a")).collect();
        assert!(describe(&many).ends_with("; 2 more"));
    }

    #[test]
    fn missing_paths_and_folders_without_text_are_named() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(expand(&[] as &[&Path]), Err(Error::NoPaths)));
        let missing = dir.path().join("nowhere.txt");
        assert!(
            matches!(expand(std::slice::from_ref(&missing)), Err(Error::NotFound { path }) if path == missing)
        );
        touch(dir.path(), &["config.json"]);
        let result = expand(&[dir.path().to_path_buf()]);
        assert!(matches!(result, Err(Error::NoTextFiles { folder, .. }) if folder == dir.path()));
    }
}
