//! What identifies the content of what a stage takes.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use longrope_data::{sha256_hex, sha256_of_file, text_files_below};
use longrope_model::Checkpoint;
use serde_json::Value;

use super::inside::is_inside;
use super::stage::Locate;

/// Files of more bytes are known by their length and their ends.
const LARGE: u64 = 256 << 20;
/// Bytes of an end.
const END: u64 = 1 << 20;

/// Fingerprints of files and models, in the folder of a run and elsewhere. Each is computed once, until a stage writes to
/// where it is.
pub(super) struct Fingerprints {
    run: PathBuf,
    known: BTreeMap<String, Option<String>>,
    /// Those of what is not in the folder of the run.
    given: BTreeMap<String, Option<String>>,
    /// Those of models that are not in the folder of the run.
    models: BTreeMap<String, String>,
}

impl Fingerprints {
    /// None is known yet; this is the folder of the run.
    pub(super) fn new(run: &Path) -> Self {
        Self {
            run: run.to_owned(),
            known: BTreeMap::new(),
            given: BTreeMap::new(),
            models: BTreeMap::new(),
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

    /// The fingerprint of what is at a path that is not in the folder of the run; `None` if there is no file, no model and no
    /// folder with text.
    pub(super) fn of_given(&mut self, path: &str) -> Option<&str> {
        let given = self.given.entry(path.to_owned());
        given
            .or_insert_with(|| of_content(Path::new(path), of_given_content))
            .as_deref()
    }

    /// The fingerprint of a model that is not in the folder of the run; `None` if it is nowhere yet, or cannot be read.
    pub(super) fn of_model(&mut self, name: &str, locate: Locate) -> Option<&str> {
        if let Entry::Vacant(place) = self.models.entry(name.to_owned()) {
            place.insert(of_content(&locate(name)?, of_given_content)?);
        }
        self.models.get(name).map(String::as_str)
    }

    /// Forgets what was known of a folder of the run, under any name, and what was nowhere: a stage has written there.
    pub(super) fn forget(&mut self, folder: &str) {
        let made = self.run.join(folder);
        let is_in_it = |path: &str| is_inside(Path::new(path), &made);
        self.known
            .retain(|path, _| !Path::new(path).starts_with(folder));
        self.given
            .retain(|path, known| known.is_some() && !is_in_it(path));
        self.models.retain(|name, _| !is_in_it(name));
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

/// The fingerprint of a model, or of something else by `of_other`. What cannot be read has none: the verb that needs it says
/// what is wrong.
fn of_content(path: &Path, of_other: fn(&Path) -> Option<String>) -> Option<String> {
    if path.join("config.json").is_file() {
        return Checkpoint::open(path).ok()?.fingerprint().ok();
    }
    of_other(path)
}

/// That of a text and the like, in a file or in the files of a folder.
fn of_given_content(path: &Path) -> Option<String> {
    if path.is_dir() {
        return of_text_folder(path);
    }
    // Nothing is taken out of a pipe.
    path.is_file().then(|| of_given_file(path, LARGE)).flatten()
}

/// That of the names and the contents of the text files in a folder. If they are large together, each is known by its ends.
fn of_text_folder(folder: &Path) -> Option<String> {
    let files = text_files_below(folder).ok()?;
    let n_bytes = files
        .iter()
        .map(|file| Some(fs_err::metadata(file).ok()?.len()));
    let large = match n_bytes.sum::<Option<u64>>()? {
        n_bytes if n_bytes <= LARGE => LARGE,
        _ => 2 * END,
    };
    let mut listed = Vec::new();
    for file in &files {
        let name = file.strip_prefix(folder).unwrap_or(file);
        listed.extend_from_slice(name.as_os_str().as_encoded_bytes());
        listed.push(0);
        listed.extend_from_slice(of_given_file(file, large)?.as_bytes());
        listed.push(0);
    }
    Some(sha256_hex(&[&listed]))
}

/// That of a file. One of more than `large` bytes is known by its length and its ends.
fn of_given_file(path: &Path, large: u64) -> Option<String> {
    let mut file = fs_err::File::open(path).ok()?;
    let n_bytes = file.metadata().ok()?.len();
    if n_bytes <= large {
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

    #[test]
    fn what_a_stage_has_made_is_known_after_it() {
        let run = tempfile::tempdir().unwrap();
        let stage = run.path().join("01-find");
        fs_err::create_dir(&stage).unwrap();
        let rope = stage.join("rope.json");
        // The same file, named from elsewhere.
        let given = rope.display().to_string();
        let mut fingerprints = Fingerprints::new(run.path());
        let known = |fingerprints: &mut Fingerprints| {
            let of_run = fingerprints.of("01-find/rope.json").map(str::to_owned);
            (of_run, fingerprints.of_given(&given).map(str::to_owned))
        };
        assert_eq!(known(&mut fingerprints), (None, None));
        fs_err::write(&rope, "{\"factors\": [2.0]}").unwrap();
        fingerprints.forget("02-other");
        assert_eq!(known(&mut fingerprints).0, None);
        fingerprints.forget("01-find");
        let first = known(&mut fingerprints);
        assert!(first.0.is_some() && first.1.is_some());
        fs_err::write(&rope, "{\"factors\": [3.0]}").unwrap();
        assert_eq!(known(&mut fingerprints), first);
        fingerprints.forget("01-find");
        let second = known(&mut fingerprints);
        assert!(second.0 != first.0 && second.1 != first.1);
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
            of_content(&path, of_given_content).unwrap()
        };
        let first = of(LARGE + 1, b"a");
        assert_eq!(of(LARGE + 1, b"a"), first);
        assert_ne!(of(LARGE + 1, b"b"), first);
        assert_ne!(of(LARGE + 2, b"a"), first);
        assert_ne!(of(2, b"a"), of(2, b"b"));
    }

    #[test]
    fn a_folder_of_texts_is_known_by_names_and_contents() {
        let folder = tempfile::tempdir().unwrap();
        let of = || of_content(folder.path(), of_given_content);
        let write = |name: &str, text: &str| {
            fs_err::write(folder.path().join(name), text).unwrap();
        };
        assert_eq!(of(), None);
        write("a.txt", "one");
        let first = of();
        assert!(first.is_some());
        write("a.txt", "two");
        let changed = of();
        assert_ne!(changed, first);
        write("b.txt", "one");
        assert_ne!(of(), changed);
        fs_err::remove_file(folder.path().join("b.txt")).unwrap();
        write("a.txt", "one");
        // What is not read does not count.
        write("a.tokens", "1 2");
        write(".hidden.txt", "3");
        assert_eq!(of(), first);
    }
}
