//! The sources of the libraries this program is built from, as text that every machine has that can build it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use longrope_data::{
    Document, HELD_OUT_CRATES, Lockfile, SourceCorpus, SourceCrate, SourceOptions,
};

use crate::hint::Hint;

/// What such text begins with where a file could be named: `sources:training` or `sources:held-out`.
const PREFIX: &str = "sources:";

/// The lock file of this build: which crates, in which versions.
const LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/Cargo.lock"));

/// The documents that a name stands for, one per crate; none if it is a path.
///
/// `sources:held-out` are the crates that the bundled model was not trained on, `sources:training` all others,
/// `sources:NAME` is one crate.
pub(crate) fn documents(name: &Path) -> Option<Result<Vec<Document>>> {
    let which = name.to_str()?.strip_prefix(PREFIX)?;
    Some(read(which))
}

fn read(which: &str) -> Result<Vec<Document>> {
    let mut options = SourceOptions::default();
    match which {
        "training" => {}
        "held-out" => options.only = HELD_OUT_CRATES.map(str::to_owned).to_vec(),
        name => {
            options.only = vec![name.to_owned()];
            options.held_out.retain(|held_out| held_out == name);
        }
    }
    let corpus = find(&options)
        .with_context(|| {
            format!("there are no sources of `{which}`, expected training, held-out or a crate of Cargo.lock")
        })
        .context(Hint("files and folders are named by their paths".to_owned()))?;
    let mut found = corpus.training;
    if which != "training" {
        found.extend(corpus.held_out);
    }
    Ok(found.iter().map(SourceCrate::joined).collect())
}

/// The sources of this build's crates that cargo has unpacked on this machine.
pub(crate) fn find(options: &SourceOptions) -> longrope_data::Result<SourceCorpus> {
    SourceCorpus::find(&Lockfile::parse(LOCK)?, &registries(), options)
}

/// The folders of unpacked sources, one per registry that cargo has used.
#[expect(
    clippy::disallowed_methods,
    reason = "the program may read the environment, its libraries not"
)]
fn registries() -> Vec<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")));
    let Some(sources) = home.map(|home| home.join("registry/src")) else {
        return Vec::new();
    };
    let Ok(entries) = fs_err::read_dir(sources) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_out_is_no_text_to_train_on() {
        let names = |which: &str| -> Vec<String> {
            let documents = read(which).expect("cargo has built this from them");
            documents.into_iter().map(|it| it.source).collect()
        };
        let (training, held_out) = (names("training"), names("held-out"));
        assert!(training.len() > held_out.len() && !held_out.is_empty());
        assert!(held_out.iter().all(|name| !training.contains(name)));
        let one = names("rayon");
        assert!(one.len() == 1 && held_out.contains(&one[0]), "{one:?}");
    }
}
