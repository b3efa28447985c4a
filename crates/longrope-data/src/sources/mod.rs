//! Text that every machine has that can build this program: the sources of the crates it is built from.
//!
//! Cargo keeps them unpacked in its registry folder, one folder per package and version, and a lock file says which
//! versions. Some crates are held out by name, so that no text is both trained on and measured with.

mod filter;
mod lockfile;

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

use crate::fingerprint::sha256_hex;
use crate::reading::files;
use crate::{Document, Error, Result};

pub use lockfile::{LockedPackage, Lockfile};

/// Crates that are never trained on. The program cannot be built without them, and each has more than 131,072 tokens
/// under a vocabulary of 1,024.
pub const HELD_OUT_CRATES: [&str; 7] = [
    "clap_builder",
    "indexmap",
    "plotters",
    "rayon",
    "regex-syntax",
    "serde_json",
    "tracing-subscriber",
];

/// Which sources are used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceOptions {
    /// Names of the crates to train on. If empty, all crates of the lock file except bindings to operating systems.
    pub only: Vec<String>,
    /// Names of the held-out crates.
    pub held_out: Vec<String>,
    /// Maximum bytes of one training crate. The file that exceeds it is still taken.
    pub most_crate_bytes: usize,
    /// Maximum bytes of one held-out crate.
    pub most_held_out_bytes: usize,
    /// Larger files are skipped: most of them are generated.
    pub most_file_bytes: usize,
}

impl Default for SourceOptions {
    fn default() -> Self {
        Self {
            only: Vec::new(),
            held_out: HELD_OUT_CRATES.map(str::to_owned).to_vec(),
            most_crate_bytes: 256 << 10,
            most_held_out_bytes: 2 << 20,
            most_file_bytes: 128 << 10,
        }
    }
}

impl SourceOptions {
    /// Whether the sources of the crate of this name are text to train on, if there are any.
    pub fn trains_on(&self, name: &str) -> bool {
        let has = |names: &[String]| names.iter().any(|known| known == name);
        let is_wanted = if self.only.is_empty() {
            !filter::is_binding(name)
        } else {
            has(&self.only)
        };
        is_wanted && !has(&self.held_out)
    }
}

/// The sources of one crate, in the order of their paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceCrate {
    /// Name and version, as in the name of the crate's folder.
    pub name: String,
    /// The files. The source of each is its path below the registry folder, with `/`.
    pub files: Vec<Document>,
}

impl SourceCrate {
    /// All files as one document. A comment with its path precedes each file.
    pub fn joined(&self) -> Document {
        let mut text = String::new();
        for file in &self.files {
            for part in ["// ", &file.source, "\n\n", file.text.trim_end(), "\n\n"] {
                text.push_str(part);
            }
        }
        Document {
            source: self.name.clone(),
            text,
        }
    }

    /// Bytes of all files.
    pub fn n_bytes(&self) -> usize {
        self.files.iter().map(|file| file.text.len()).sum()
    }
}

/// Sources to train on and held-out sources to measure with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceCorpus {
    /// Crates to train on, sorted by name.
    pub training: Vec<SourceCrate>,
    /// Held-out crates, sorted by name.
    pub held_out: Vec<SourceCrate>,
    /// `name-version` of packages without sources.
    pub missing: Vec<String>,
}

impl SourceCorpus {
    /// Reads the sources of the packages of a lock file, each from the first registry folder that has it.
    ///
    /// The same lock file and options give the same text on every machine that has all packages. Of several versions of
    /// a package the newest is taken, and files are in the order of their paths. Files are skipped that are large, say
    /// that they were generated, or look like tables.
    ///
    /// # Errors
    /// [`Error::NoSources`] if nothing is found at all, [`Error::Read`] for a folder that cannot be read.
    pub fn find(
        lockfile: &Lockfile,
        registries: &[PathBuf],
        options: &SourceOptions,
    ) -> Result<Self> {
        let mut corpus = Self::default();
        for package in lockfile.newest() {
            let held_out = options.held_out.contains(&package.name);
            if !held_out && !options.trains_on(&package.name) {
                continue;
            }
            let name = format!("{}-{}", package.name, package.version);
            let folder = registries.iter().map(|registry| registry.join(&name));
            let Some(folder) = folder.into_iter().find(|folder| folder.is_dir()) else {
                corpus.missing.push(name);
                continue;
            };
            let most_bytes = if held_out {
                options.most_held_out_bytes
            } else {
                options.most_crate_bytes
            };
            let found = read_crate(&folder, name, most_bytes, options.most_file_bytes)?;
            if found.files.is_empty() {
                continue;
            }
            if held_out {
                corpus.held_out.push(found);
            } else {
                corpus.training.push(found);
            }
        }
        if corpus.training.is_empty() && corpus.held_out.is_empty() {
            return Err(Error::NoSources {
                n_missing: corpus.missing.len(),
            });
        }
        Ok(corpus)
    }

    /// SHA-256, in hexadecimal, of names and texts of the sources to train on. Equal fingerprints mean equal text.
    pub fn training_fingerprint(&self) -> String {
        fingerprint(&self.training)
    }

    /// SHA-256, in hexadecimal, of names and texts of the held-out sources.
    pub fn held_out_fingerprint(&self) -> String {
        fingerprint(&self.held_out)
    }
}

fn fingerprint(crates: &[SourceCrate]) -> String {
    let files = crates.iter().flat_map(|source| &source.files);
    let digests: Vec<String> = files
        .map(|file| sha256_hex(&[file.source.as_bytes(), b"\0", file.text.as_bytes()]))
        .collect();
    sha256_hex(&[b"longrope-sources 1\n", digests.concat().as_bytes()])
}

fn read_crate(
    folder: &Path,
    name: String,
    most_bytes: usize,
    most_file_bytes: usize,
) -> Result<SourceCrate> {
    let mut paths = Vec::new();
    let readme = folder.join("README.md");
    if readme.is_file() {
        paths.push(("README.md".to_owned(), readme));
    }
    let sources = folder.join("src");
    if sources.is_dir() {
        for entry in WalkDir::new(&sources) {
            let entry = entry.map_err(|error| files::read_error(&sources, error.into()))?;
            let path = entry.path();
            if entry.file_type().is_file() && path.extension().is_some_and(|ending| ending == "rs")
            {
                paths.push((relative(folder, path), path.to_owned()));
            }
        }
    }
    paths.sort();

    let mut found = SourceCrate {
        name,
        files: Vec::new(),
    };
    let mut n_bytes = 0;
    for (relative, path) in paths {
        if n_bytes >= most_bytes {
            break;
        }
        let bytes = fs_err::read(&path).map_err(|error| files::read_error(&path, error))?;
        if bytes.len() > most_file_bytes {
            continue;
        }
        // Line endings belong to the package and are the same on every machine, so they are kept.
        if let Ok(text) = String::from_utf8(bytes)
            && filter::is_written(&text)
        {
            n_bytes += text.len();
            found.files.push(Document {
                source: format!("{}/{relative}", found.name),
                text,
            });
        }
    }
    Ok(found)
}

/// The path below `folder`, the same on every system.
fn relative(folder: &Path, path: &Path) -> String {
    let below = path.strip_prefix(folder).unwrap_or(path);
    let parts: Vec<_> = below
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    parts.join("/")
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
