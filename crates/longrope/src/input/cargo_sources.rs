//! The source code of the libraries that this program is built from, as text. Every machine that can build the program
//! has it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use longrope_data::{
    Document, HELD_OUT_CRATES, Lockfile, SourceCorpus, SourceCrate, SourceOptions,
};

use crate::failure::Hint;
use crate::show::output::counted;

/// Prefix of such text in the place of a path: `sources:training` or `sources:held-out`.
const PREFIX: &str = "sources:";

/// The crates to train on.
const TRAINING: &str = "training";

/// The crates that are never trained on.
const HELD_OUT: &str = "held-out";

/// Crates that a warning names.
const LISTED: usize = 3;

/// The lock file of this build, with the versions of all crates.
const LOCK: &str = include_str!(concat!(env!("OUT_DIR"), "/Cargo.lock"));

/// The documents of `sources:..`, one per crate; `None` if `name` is an ordinary path.
///
/// `sources:held-out` stands for the crates that the bundled model was not trained on, `sources:training` for all
/// others, and `sources:NAME` for one crate.
pub(crate) fn documents(name: &Path) -> Option<Result<Vec<Document>>> {
    which(name).map(read)
}

/// What follows `sources:`; `None` if `name` is an ordinary path.
fn which(name: &Path) -> Option<&str> {
    name.to_str()?.strip_prefix(PREFIX)
}

/// Whether a path is `sources:..` and not one of a file.
pub(crate) fn is_source(name: &Path) -> bool {
    which(name).is_some()
}

/// Refuses `sources:..` with the name of no crate, without reading sources. Ordinary paths are not checked.
///
/// # Errors
/// If the name is neither that of a crate of this build nor one of several.
pub(crate) fn check(name: &Path) -> Result<()> {
    let Some(which) = which(name) else {
        return Ok(());
    };
    let lock = Lockfile::parse(LOCK)?;
    let crates = lock.newest().map(|package| package.name.as_str());
    // The crates of this program are not in the registry.
    let others = crates.filter(|name| *name != "longrope" && !name.starts_with("longrope-"));
    let names: Vec<&str> = [TRAINING, HELD_OUT].into_iter().chain(others).collect();
    if names.contains(&which) {
        return Ok(());
    }
    if which.is_empty() {
        return Err(anyhow!("`{PREFIX}` names no crates").context(Hint(
            "give sources:training, sources:held-out, or the name of a crate after the colon"
                .to_owned(),
        )));
    }
    let hint = like(which, &names).map_or_else(
        || "give the name of a crate; files and folders are given by their paths".to_owned(),
        |name| format!("did you mean `{name}`?"),
    );
    Err(anyhow!(no_sources(which)).context(Hint(hint)))
}

/// The name that is nearest to a wrong one; `None` if none is near.
fn like<'n>(wrong: &str, names: &[&'n str]) -> Option<&'n str> {
    let wrong = wrong.to_lowercase();
    let likeness = |name: &str| strsim::jaro_winkler(&wrong, name);
    let best = names
        .iter()
        .copied()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.9).then_some(best)
}

/// What is said of sources that are not there.
fn no_sources(which: &str) -> String {
    format!(
        "there are no sources for `{which}`, expected `training`, `held-out` or a crate of the Cargo.lock that this \
         program was built with"
    )
}

/// Whether two such texts have crates in common, as far as their names say; false for ordinary paths.
pub(crate) fn may_share(a: &Path, b: &Path) -> bool {
    let (Some(a), Some(b)) = (which(a), which(b)) else {
        return false;
    };
    match (a, b) {
        _ if a == b => true,
        (TRAINING, name) | (name, TRAINING) => {
            name != HELD_OUT && SourceOptions::default().trains_on(name)
        }
        (HELD_OUT, name) | (name, HELD_OUT) => HELD_OUT_CRATES.contains(&name),
        _ => false,
    }
}

fn read(which: &str) -> Result<Vec<Document>> {
    let mut options = SourceOptions::default();
    match which {
        TRAINING => {}
        HELD_OUT => options.only = HELD_OUT_CRATES.map(str::to_owned).to_vec(),
        name => {
            options.only = vec![name.to_owned()];
            options.held_out.retain(|held_out| held_out == name);
        }
    }
    let corpus = find(&options).with_context(|| no_sources(which))?;
    warn_of_missing(&format!("`{PREFIX}{which}`"), &corpus.missing);
    let mut found = corpus.training;
    if which != TRAINING {
        found.extend(corpus.held_out);
    }
    Ok(found.iter().map(SourceCrate::joined).collect())
}

/// Warns of a text without the crates that cargo has not unpacked here.
pub(crate) fn warn_of_missing(text: &str, missing: &[String]) {
    if !missing.is_empty() {
        tracing::warn!("{}", of_missing(text, missing));
    }
}

fn of_missing(text: &str, missing: &[String]) -> String {
    let n_listed = missing.len().min(LISTED);
    let more = if missing.len() > n_listed { ", .." } else { "" };
    format!(
        "{text} lacks the sources of {} of Cargo.lock ({}{more}), so it is not the text of a machine that has \
         them: losses and trainings on it differ. `cargo fetch --locked` in the folder of this program gets them",
        counted(missing.len(), "crate"),
        missing[..n_listed].join(", ")
    )
}

/// Finds the sources of this build's crates that cargo has unpacked on this machine.
pub(crate) fn find(options: &SourceOptions) -> longrope_data::Result<SourceCorpus> {
    SourceCorpus::find(&Lockfile::parse(LOCK)?, &registries(), options)
}

/// The folders with unpacked sources, one per registry.
#[expect(
    clippy::disallowed_methods,
    reason = "only the program reads the environment, not its libraries"
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
    fn a_warning_counts_what_is_missing_and_names_some() {
        let names = ["a-1.0.0", "b-2.0.0", "c-3.0.0", "d-4.0.0"].map(str::to_owned);
        let one = of_missing("`sources:training`", &names[..1]);
        assert!(
            one.contains("of 1 crate of Cargo.lock (a-1.0.0), so"),
            "{one}"
        );
        let all = of_missing("`sources:training`", &names);
        let expected = "`sources:training` lacks the sources of 4 crates of Cargo.lock (a-1.0.0, b-2.0.0, c-3.0.0, ..)";
        assert!(all.starts_with(expected), "{all}");
    }

    #[test]
    fn unknown_crates_are_refused_by_their_names() {
        for known in [
            "sources:training",
            "sources:held-out",
            "sources:rayon",
            "a/b.txt",
        ] {
            check(Path::new(known)).unwrap();
        }
        let error = check(Path::new("sources:rayonn")).unwrap_err();
        assert!(
            format!("{error:#}").contains("no sources for `rayonn`"),
            "{error:#}"
        );
        for (wrong, words) in [
            ("sources:", "`sources:` names no crates"),
            ("sources:RAYON", "did you mean `rayon`?"),
            ("sources:longrope-data", "no sources for `longrope-data`"),
            ("sources:nobody-wrote-this", "give the name of a crate;"),
        ] {
            let error = check(Path::new(wrong)).unwrap_err();
            let message = format!("{error:#}");
            assert!(message.contains(words), "{message}");
            assert!(!message.contains("missing"), "{message}");
        }
    }

    #[test]
    fn names_of_the_same_crates_share_text() {
        let share = |a: &str, b: &str| {
            let [a, b] = [a, b].map(|name| PathBuf::from(format!("{PREFIX}{name}")));
            let share = may_share(&a, &b);
            assert_eq!(may_share(&b, &a), share, "{} {}", a.display(), b.display());
            share
        };
        assert!(share("training", "training") && share("rayon", "rayon"));
        assert!(share("training", "anyhow") && share("held-out", "rayon"));
        assert!(!share("training", "held-out") && !share("training", "rayon"));
        // Bindings are in no training text.
        assert!(!share("training", "libc"));
        assert!(!share("held-out", "anyhow") && !share("anyhow", "rayon"));
        let path = Path::new("training");
        assert!(!may_share(path, path));
    }

    #[test]
    fn held_out_crates_are_not_in_the_training_text() {
        let names = |which: &str| -> Vec<String> {
            let documents = read(which).expect("cargo built this program from them");
            documents
                .into_iter()
                .map(|document| document.source)
                .collect()
        };
        let (training, held_out) = (names("training"), names("held-out"));
        assert!(training.len() > held_out.len() && !held_out.is_empty());
        assert!(held_out.iter().all(|name| !training.contains(name)));
        let one = names("rayon");
        assert!(one.len() == 1 && held_out.contains(&one[0]), "{one:?}");
    }
}
