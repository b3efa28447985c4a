//! What identifies the content of what a stage takes.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use longrope_data::{sha256_hex, sha256_of_file};
use longrope_model::Checkpoint;
use serde_json::Value;

/// Files of more bytes are known by their length and their ends.
const LARGE: u64 = 256 << 20;
/// Bytes of an end.
const END: u64 = 1 << 20;

/// Fingerprints of files and models, in the folder of a run and elsewhere. Each is computed once.
pub(super) struct Fingerprints {
    run: PathBuf,
    known: BTreeMap<String, Option<String>>,
    /// Those of what is not in the folder of the run.
    given: BTreeMap<String, Option<String>>,
}

impl Fingerprints {
    /// None is known yet; this is the folder of the run.
    pub(super) fn new(run: &Path) -> Self {
        Self {
            run: run.to_owned(),
            known: BTreeMap::new(),
            given: BTreeMap::new(),
        }
    }

    /// The fingerprint of what is at a path of the run; `None` if there is no file and no model.
    pub(super) fn of(&mut self, path: &str) -> Option<&str> {
        let run = &self.run;
        let known = self.known.entry(path.to_owned());
        known
            .or_insert_with(|| of_content(&run.join(path), of_made_file))
            .as_deref()
    }

    /// The fingerprint of what is at a path that is not in the folder of the run; `None` if there is no file and no model.
    pub(super) fn of_given(&mut self, path: &str) -> Option<&str> {
        let given = self.given.entry(path.to_owned());
        given
            .or_insert_with(|| of_content(Path::new(path), of_given_file))
            .as_deref()
    }

    /// Those of several paths that are not in the folder of the run, without those that have none.
    pub(super) fn of_all_given(&mut self, paths: &BTreeSet<String>) -> BTreeMap<String, String> {
        of_each(paths, |path| self.of_given(path).map(str::to_owned))
    }

    /// Those of several paths, without those that have none.
    pub(super) fn of_all(&mut self, paths: &BTreeSet<String>) -> BTreeMap<String, String> {
        of_each(paths, |path| self.of(path).map(str::to_owned))
    }
}

/// The fingerprints of several paths, without those that have none.
fn of_each(
    paths: &BTreeSet<String>,
    mut of: impl FnMut(&str) -> Option<String>,
) -> BTreeMap<String, String> {
    let found = paths.iter();
    found
        .filter_map(|path| Some((path.clone(), of(path)?)))
        .collect()
}

/// The fingerprint of a model, or of a file by `of_file`. What cannot be read has none: the verb that needs it says what is
/// wrong.
fn of_content(path: &Path, of_file: fn(&Path) -> Option<String>) -> Option<String> {
    if path.join("config.json").is_file() {
        return Checkpoint::open(path).ok()?.fingerprint().ok();
    }
    path.is_file().then(|| of_file(path)).flatten()
}

/// That of a text and the like, which may be of any size.
fn of_given_file(path: &Path) -> Option<String> {
    let mut file = fs_err::File::open(path).ok()?;
    let n_bytes = file.metadata().ok()?.len();
    if n_bytes <= LARGE {
        return sha256_of_file(path).ok();
    }
    let mut ends = [Vec::new(), Vec::new()];
    for (start, end) in [0, n_bytes - END].into_iter().zip(&mut ends) {
        file.seek(SeekFrom::Start(start)).ok()?;
        (&mut file).take(END).read_to_end(end).ok()?;
    }
    let [first, last] = &ends;
    Some(sha256_hex(&[&n_bytes.to_le_bytes(), first, last]))
}

/// That of a file that a stage has made.
fn of_made_file(path: &Path) -> Option<String> {
    if path.extension().is_none_or(|extension| extension != "json") {
        return sha256_of_file(path).ok();
    }
    let bytes = fs_err::read(path).ok()?;
    let Ok(Value::Object(mut fields)) = serde_json::from_slice::<Value>(&bytes) else {
        return Some(sha256_hex(&[&bytes]));
    };
    // Which version found the factors, and how, changes nothing in them.
    fields.remove("provenance");
    let content = serde_json::to_string(&fields).ok()?;
    Some(sha256_hex(&[content.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_are_others_only_if_their_numbers_are() {
        let folder = tempfile::tempdir().unwrap();
        let of = |text: &str| {
            fs_err::write(folder.path().join("rope.json"), text).unwrap();
            let mut fingerprints = Fingerprints::new(folder.path());
            fingerprints.of("rope.json").map(str::to_owned).unwrap()
        };
        let first = of(r#"{"factors": [1.0, 2.0], "provenance": {"seed": 1}}"#);
        assert_eq!(
            of(r#"{"factors":[1.0,2.0],"provenance":{"seed":2}}"#),
            first
        );
        assert_ne!(
            of(r#"{"factors": [1.0, 2.5], "provenance": {"seed": 1}}"#),
            first
        );
        assert_eq!(Fingerprints::new(folder.path()).of("model"), None);
    }

    #[test]
    fn large_files_are_known_by_their_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text.txt");
        let of = |n_bytes: u64, last: &[u8]| {
            let file = fs_err::File::create(&path).unwrap();
            // Nothing but the end takes space on the disk.
            file.set_len(n_bytes - 1).unwrap();
            drop(file);
            let mut file = fs_err::OpenOptions::new().append(true).open(&path).unwrap();
            std::io::Write::write_all(&mut file, last).unwrap();
            of_content(&path, of_given_file).unwrap()
        };
        let first = of(LARGE + 1, b"a");
        assert_eq!(of(LARGE + 1, b"a"), first);
        assert_ne!(of(LARGE + 1, b"b"), first);
        assert_ne!(of(LARGE + 2, b"a"), first);
        assert_ne!(of(2, b"a"), of(2, b"b"));
        assert_eq!(of_content(folder.path(), of_given_file), None);
    }
}
