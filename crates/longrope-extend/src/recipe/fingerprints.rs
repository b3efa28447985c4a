//! What identifies the content of what a stage has made.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use longrope_data::{sha256_hex, sha256_of_file};
use longrope_model::Checkpoint;
use serde_json::Value;

/// Fingerprints of files and models in the folder of a run. Each is computed once.
pub(super) struct Fingerprints {
    run: PathBuf,
    known: BTreeMap<String, Option<String>>,
}

impl Fingerprints {
    /// None is known yet of those in this folder.
    pub(super) fn new(run: &Path) -> Self {
        Self {
            run: run.to_owned(),
            known: BTreeMap::new(),
        }
    }

    /// The fingerprint of what is at a path of the run; `None` if there is no file and no model.
    pub(super) fn of(&mut self, path: &str) -> Option<&str> {
        let run = &self.run;
        let known = self.known.entry(path.to_owned());
        known.or_insert_with(|| compute(&run.join(path))).as_deref()
    }

    /// Those of several paths, without those that have none.
    pub(super) fn of_all(&mut self, paths: &BTreeSet<String>) -> BTreeMap<String, String> {
        let found = paths.iter().filter_map(|path| {
            let fingerprint = self.of(path)?.to_owned();
            Some((path.clone(), fingerprint))
        });
        found.collect()
    }
}

/// A file or model that cannot be read has no fingerprint: the verb that needs it says what is wrong.
fn compute(path: &Path) -> Option<String> {
    if path.join("config.json").is_file() {
        return Checkpoint::open(path).ok()?.fingerprint().ok();
    }
    if !path.is_file() {
        return None;
    }
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
}
