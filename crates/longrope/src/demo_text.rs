//! Text that every machine that could build this program has: the documentation of the libraries
//! it is built from.
//!
//! Cargo keeps their sources in its registry folder. READMEs and documentation comments of the
//! crates that our lock file names are English prose of a few megabytes. Crates are split by
//! name into some to calibrate on and some to report on.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};

use crate::failure::Hint;

/// The lock file of this build: which crates, in which versions.
pub(crate) const LOCK: &str = include_str!("../../../Cargo.lock");

/// Documents to calibrate a search on, and documents to report results on.
#[derive(Debug, Default)]
pub(crate) struct DemoText {
    pub(crate) calibration: Vec<String>,
    pub(crate) test: Vec<String>,
}

/// Text of one half is enough at this size.
const ENOUGH_BYTES: usize = 600_000;
/// Shorter documents do not fill a window of the demo.
const LEAST_BYTES: usize = 12_000;
/// A single crate shall not be the whole text.
const MOST_BYTES: usize = 60_000;

/// Collects documentation from cargo's registry.
pub(crate) fn collect() -> Result<DemoText> {
    let registries = registries();
    let mut text = DemoText::default();
    for (i, package) in locked_packages().iter().enumerate() {
        // Neighbours in the alphabet are often one family: pairs of them stay together.
        let half = if (i / 2).is_multiple_of(2) {
            &mut text.calibration
        } else {
            &mut text.test
        };
        if half.iter().map(String::len).sum::<usize>() >= ENOUGH_BYTES {
            continue;
        }
        let folder = registries
            .iter()
            .map(|registry| registry.join(package))
            .find(|f| f.is_dir());
        if let Some(folder) = folder {
            let document = documentation(&folder);
            if document.len() >= LEAST_BYTES {
                half.push(document);
            }
        }
    }
    if text.calibration.is_empty() || text.test.is_empty() {
        return Err(
            anyhow!("cargo's registry folder holds no documentation to use as text").context(Hint(
                "give text of your own: longrope demo --text BOOK.txt".to_owned(),
            )),
        );
    }
    Ok(text)
}

/// `name-version` of every package of the lock file that came from a registry, in its order.
fn locked_packages() -> Vec<String> {
    let Ok(lock) = toml::from_str::<toml::Table>(LOCK) else {
        return Vec::new();
    };
    let packages = lock.get("package").and_then(|packages| packages.as_array());
    packages
        .into_iter()
        .flatten()
        .filter(|package| package.get("source").is_some())
        .filter_map(|package| {
            let field = |key| package.get(key).and_then(|value| value.as_str());
            Some(format!("{}-{}", field("name")?, field("version")?))
        })
        .collect()
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

/// README and documentation comments of one crate.
fn documentation(folder: &Path) -> String {
    let mut text = fs_err::read_to_string(folder.join("README.md")).unwrap_or_default();
    let mut folders = vec![folder.join("src")];
    while let Some(folder) = folders.pop() {
        for path in sorted_entries(&folder) {
            if text.len() >= MOST_BYTES {
                break;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && let Ok(source) = fs_err::read_to_string(&path)
            {
                append_comments(&source, &mut text);
            }
        }
    }
    truncate(&mut text, MOST_BYTES);
    text
}

/// Appends what stands behind `///` and `//!`.
fn append_comments(source: &str, text: &mut String) {
    for line in source.lines().map(str::trim_start) {
        if let Some(comment) = line
            .strip_prefix("///")
            .or_else(|| line.strip_prefix("//!"))
        {
            text.push_str(comment.strip_prefix(' ').unwrap_or(comment));
            text.push('\n');
        }
    }
}

/// Cuts at a character's border.
fn truncate(text: &mut String, n_bytes: usize) {
    if text.len() > n_bytes {
        let end = (0..=n_bytes)
            .rev()
            .find(|at| text.is_char_boundary(*at))
            .unwrap_or(0);
        text.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_taken_and_code_is_not() {
        let mut text = String::new();
        append_comments(
            "//! A crate.\nuse a;\n    /// A thing.\n    fn b() {} // no\n",
            &mut text,
        );
        assert_eq!(text, "A crate.\nA thing.\n");
    }

    #[test]
    fn the_lock_file_names_what_we_are_built_from() {
        let packages = locked_packages();
        assert!(
            packages
                .iter()
                .any(|package| package.starts_with("burn-0.22.1"))
        );
        assert!(
            !packages
                .iter()
                .any(|package| package.starts_with("longrope"))
        );
    }

    #[test]
    fn cuts_never_split_a_character() {
        let mut text = "aé".to_owned();
        truncate(&mut text, 2);
        assert_eq!(text, "a");
    }
}
