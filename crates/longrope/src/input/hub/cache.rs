//! The cache of the hub, which `huggingface_hub` shares:
//!
//! ```text
//! models--OWNER--NAME/refs/main                  the commit that a revision stood for
//! models--OWNER--NAME/snapshots/COMMIT/FILE      a link to
//! models--OWNER--NAME/blobs/ETAG                 the content of a file
//! models--OWNER--NAME/blobs/ETAG.incomplete      what there is of it so far
//! .locks/models--OWNER--NAME/ETAG.lock           locked while it is written
//! ```

use std::fs::File;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::repository::{Repository, is_commit};

/// The folder of a repository in the cache.
#[derive(Clone, Debug)]
pub(super) struct CachedRepository {
    root: PathBuf,
    locks: PathBuf,
    revision: String,
}

impl CachedRepository {
    pub(super) fn new(cache: &Path, repository: &Repository) -> Self {
        let folder = repository.folder();
        Self {
            root: cache.join(&folder),
            locks: cache.join(".locks").join(folder),
            revision: repository.revision.clone(),
        }
    }

    /// The commit that the revision stands for, as far as the cache knows.
    pub(super) fn commit(&self) -> Option<String> {
        match fs_err::read_to_string(self.ref_path()) {
            Ok(commit) => Some(commit.trim().to_owned()).filter(|commit| is_name(commit)),
            // Commits have no names of their own.
            Err(_) => is_commit(&self.revision).then(|| self.revision.to_ascii_lowercase()),
        }
    }

    /// The path of a file of the revision, if it is in the cache.
    pub(super) fn file(&self, file: &str) -> Option<PathBuf> {
        self.file_of(&self.commit()?, file)
    }

    /// The path of a file of a commit, if it is in the cache.
    pub(super) fn file_of(&self, commit: &str, file: &str) -> Option<PathBuf> {
        let path = self.snapshot(commit).join(file);
        path.is_file().then_some(path)
    }

    /// The files of the revision that are in the cache, by their paths in the repository.
    pub(super) fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        if let Some(commit) = self.commit() {
            list_files(&self.snapshot(&commit), "", &mut files);
        }
        files.sort();
        files
    }

    /// The folder with the files of a commit.
    fn snapshot(&self, commit: &str) -> PathBuf {
        self.root.join("snapshots").join(commit)
    }

    fn ref_path(&self) -> PathBuf {
        self.root.join("refs").join(&self.revision)
    }

    /// Where the content with a name is.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    /// Waits until no other process writes this content. The lock ends with the file.
    pub(super) fn lock(&self, etag: &str) -> io::Result<File> {
        fs_err::create_dir_all(&self.locks)?;
        let path = self.locks.join(format!("{etag}.lock"));
        let lock = fs_err::File::create(path)?.into_file();
        lock.lock()?;
        Ok(lock)
    }

    /// Notes which commit the revision stands for.
    pub(super) fn write_ref(&self, commit: &str) -> io::Result<()> {
        if is_commit(&self.revision) {
            return Ok(());
        }
        let path = self.ref_path();
        if fs_err::read_to_string(&path).is_ok_and(|known| known.trim() == commit) {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        longrope_data::write_atomically(&path, commit.as_bytes())
    }

    /// Makes a content a file of a commit. Returns its path.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> io::Result<PathBuf> {
        let path = self.snapshot(commit).join(file);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        // A link that leads nowhere is not in the way.
        if fs_err::symlink_metadata(&path).is_ok() {
            fs_err::remove_file(&path)?;
        }
        let up = "../".repeat(2 + file.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        link_or_copy(&target, &self.blob(etag), &path)?;
        Ok(path)
    }
}

/// Links `path` to a content, or copies it where there are no links.
fn link_or_copy(target: &Path, blob: &Path, path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if fs_err::os::unix::fs::symlink(target, path).is_ok() {
        return Ok(());
    }
    #[cfg(not(unix))]
    let _ = target;
    fs_err::hard_link(blob, path).or_else(|_| fs_err::copy(blob, path).map(drop))
}

/// Whether a text that comes from the hub can be the name of a file.
pub(super) fn is_name(text: &str) -> bool {
    text.len() <= 200
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// Whether a path that comes from the hub stays in its folder.
pub(super) fn stays_inside(file: &str) -> bool {
    !file.is_empty()
        && !file.contains(['\\', '\0'])
        && Path::new(file)
            .components()
            .all(|part| matches!(part, Component::Normal(_)))
}

/// Adds the files below a folder, as paths that begin with `prefix`.
fn list_files(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let path = format!("{prefix}{name}");
        if entry.path().is_dir() {
            list_files(&entry.path(), &format!("{path}/"), files);
        } else if entry.path().is_file() {
            files.push(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::repository::Kind;
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn cached(folder: &Path, revision: &str) -> CachedRepository {
        CachedRepository::new(folder, &Repository::new(Kind::Model, "o/m", revision))
    }

    #[test]
    fn a_file_is_found_by_branch_and_by_commit() {
        let dir = tempfile::tempdir().unwrap();
        let main = cached(dir.path(), "main");
        assert_eq!(main.commit(), None);
        fs_err::create_dir_all(main.blob("x").parent().unwrap()).unwrap();
        fs_err::write(main.blob("x"), "content").unwrap();
        main.link(COMMIT, "a/b.txt", "x").unwrap();
        let by_commit = cached(dir.path(), COMMIT);
        let path = by_commit.file("a/b.txt").unwrap();
        assert_eq!(fs_err::read_to_string(path).unwrap(), "content");
        assert_eq!(by_commit.files(), ["a/b.txt"]);
        assert_eq!(main.file("a/b.txt"), None, "no name was noted");
        main.write_ref(COMMIT).unwrap();
        assert!(main.file("a/b.txt").is_some());
        assert!(main.file("a").is_none() && main.file("c").is_none());
        by_commit.write_ref(COMMIT).unwrap();
        assert!(!dir.path().join("models--o--m/refs").join(COMMIT).exists());
        // Linking again replaces a link that leads nowhere.
        fs_err::remove_file(main.blob("x")).unwrap();
        assert!(main.file("a/b.txt").is_none());
        fs_err::write(main.blob("x"), "again").unwrap();
        main.link(COMMIT, "a/b.txt", "x").unwrap();
        assert!(main.file("a/b.txt").is_some());
    }

    #[test]
    fn names_from_the_hub_stay_in_the_cache() {
        for name in ["", "..", ".x", "a/b", "W/\"x\"", "a\0"] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name(COMMIT));
        for file in ["", "/a", "../a", "a/../../b", "a\\b", "."] {
            assert!(!stays_inside(file), "{file}");
        }
        assert!(stays_inside("data/a b.parquet"));
    }
}
