//! The sources of the libraries this program is built from, as text that every machine has that can build it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_data::{
    Document, HELD_OUT_CRATES, Lockfile, SourceCorpus, SourceCrate, SourceOptions,
};

use crate::failure::Hint;

/// What such text begins with where a file could be named: `sources:training` or `sources:held-out`.
const PREFIX: &str = "sources:";

/// The lock file of this build: which crates, in which versions.
pub(crate) const LOCK: &str = include_str!("../../../Cargo.lock");

/// The documents that a name stands for, one per crate; none if it is a path.
///
/// `sources:held-out` are the crates that the bundled model was not trained on, `sources:training` all others,
/// `sources:NAME` is one crate.
pub(crate) fn documents(name: &Path) -> Option<Result<Vec<Document>>> {
    let which = name.to_str()?.strip_prefix(PREFIX)?;
    Some(read(which))
}

fn read(which: &str) -> Result<Vec<Document>> {
    let joined = |crates: &[SourceCrate]| crates.iter().map(SourceCrate::joined).collect();
    match which {
        "training" => Ok(joined(&find(Vec::new())?.training)),
        "held-out" => Ok(joined(
            &find(HELD_OUT_CRATES.map(str::to_owned).to_vec())?.held_out,
        )),
        name => {
            let corpus = find(vec![name.to_owned()])?;
            let is_named = |found: &&SourceCrate| {
                let version = found.name.strip_prefix(name);
                version.is_some_and(|version| version.starts_with('-'))
            };
            let mut all = corpus.training.iter().chain(&corpus.held_out);
            let found = all.find(is_named).ok_or_else(|| {
                anyhow!("there are no sources of `{name}`, expected training, held-out or a crate of Cargo.lock")
                    .context(Hint("files and folders are named by their paths".to_owned()))
            })?;
            Ok(vec![found.joined()])
        }
    }
}

fn find(only: Vec<String>) -> Result<SourceCorpus> {
    let options = SourceOptions {
        only,
        ..SourceOptions::default()
    };
    SourceCorpus::find(&Lockfile::parse(LOCK)?, &registries(), &options)
        .context(Hint("give text of your own with --text".to_owned()))
}

/// The folders of unpacked sources, one per registry that cargo has used.
#[expect(
    clippy::disallowed_methods,
    reason = "the program may read the environment, its libraries not"
)]
pub(crate) fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else {
        return Vec::new();
    };
    sorted_entries(&sources)
}

fn sorted_entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths
}
