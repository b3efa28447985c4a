//! Losses of the running generation and of the methods, saved as they are measured.
//!
//! The state of a search is saved after every generation. A generation can take hours, so each loss is also appended to
//! `search/scores.jsonl` as soon as it is known, and a search that was killed takes it from there instead of measuring
//! again. The file is removed when the state of the generation is saved. In the same way, `search/methods.jsonl` keeps
//! the measured methods until the result is written.

use std::collections::HashMap;
use std::path::PathBuf;

use longrope_search::{BlockLosses, Candidate};
use serde::{Deserialize, Serialize};

use super::line_file::LineFile;
use crate::error::Result;
use crate::search::methods::loss::MethodLoss;

/// Losses of the running generation, relative to the run folder; see [`Journal`].
pub(in crate::search) const SCORES_FILE: &str = "search/scores.jsonl";
/// Methods measured so far, relative to the run folder; see [`MethodJournal`].
pub(in crate::search) const METHODS_FILE: &str = "search/methods.jsonl";

/// The losses of candidates, and the file they are kept in.
#[derive(Debug)]
pub(crate) struct Journal {
    file: LineFile,
    known: HashMap<(Candidate, usize), BlockLosses>,
}

/// The loss of a candidate on a sample.
#[derive(Serialize, Deserialize)]
struct Line {
    candidate: Candidate,
    sample: usize,
    losses: BlockLosses,
}

impl Journal {
    /// Reads the losses that an interrupted search has left.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let (file, lines) = LineFile::open::<Line>(path, "longrope-search-scores")?;
        let known = lines
            .into_iter()
            .map(|line| ((line.candidate, line.sample), line.losses));
        let known = known.collect();
        Ok(Self { file, known })
    }

    /// The loss of a candidate on a sample, if it was measured before the interruption.
    pub(crate) fn known(&self, candidate: &Candidate, sample: usize) -> Option<&BlockLosses> {
        // Most searches are not interrupted, and need no clone of the key.
        if self.known.is_empty() {
            return None;
        }
        self.known.get(&(candidate.clone(), sample))
    }

    /// Saves a loss.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn add(
        &mut self,
        candidate: &Candidate,
        sample: usize,
        losses: &BlockLosses,
    ) -> Result<()> {
        self.file.add(&Line {
            candidate: candidate.clone(),
            sample,
            losses: losses.clone(),
        })
    }

    /// Removes the losses: the state with the scores is saved.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.known.clear();
        self.file.clear()
    }
}

/// The methods measured so far, and the file they are kept in.
#[derive(Debug)]
pub(crate) struct MethodJournal {
    file: LineFile,
    known: Vec<MethodLine>,
}

/// Which samples of a search a RoPE is measured on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Samples {
    /// Those that candidates are scored on.
    #[default]
    Search,
    /// Text and passkeys that the search did not see.
    HeldOut,
    /// Passkeys within the model's own window.
    InWindow,
}

/// A measured method, what it was measured on, and on how many passkeys, which may change when a search is resumed.
#[derive(Debug, Serialize, Deserialize)]
struct MethodLine {
    #[serde(default)]
    samples: Samples,
    n_passkeys: usize,
    loss: MethodLoss,
}

impl MethodJournal {
    /// Reads the methods that an interrupted search has measured.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let (file, known) = LineFile::open(path, "longrope-search-methods")?;
        Ok(Self { file, known })
    }

    /// The measurement of a method, if it was made before the interruption.
    pub(crate) fn known(
        &self,
        method: &str,
        samples: Samples,
        n_passkeys: usize,
    ) -> Option<&MethodLoss> {
        let mut known = self.known.iter().filter(|line| line.samples == samples);
        known
            .find(|line| line.loss.method == method && line.n_passkeys == n_passkeys)
            .map(|line| &line.loss)
    }

    /// Saves a measurement.
    ///
    /// # Errors
    /// If it cannot be written.
    pub(crate) fn add(
        &mut self,
        loss: &MethodLoss,
        samples: Samples,
        n_passkeys: usize,
    ) -> Result<()> {
        let line = MethodLine {
            samples,
            n_passkeys,
            loss: loss.clone(),
        };
        self.file.add(&line)
    }

    /// Removes the measurements: the result is written.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.known.clear();
        self.file.clear()
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::RopeSpec;
    use longrope_search::{SearchConfig, TargetRope};

    use super::*;

    fn candidates() -> Vec<Candidate> {
        let rope = RopeSpec::new(16, 1e4, 32, longrope_rope::RopeScaling::None {}).unwrap();
        let problem = TargetRope::factors(&rope, 64).problem();
        let space = SearchConfig::default().space(&problem).unwrap();
        let near = |factor: f64| {
            let none = longrope_rope::AttentionScale::None {};
            space.nearest(&[factor; 8], 0, none).unwrap()
        };
        vec![near(1.0), near(1.5)]
    }

    #[test]
    fn losses_come_back_bit_for_bit_and_a_cut_line_is_left_out() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("search/scores.jsonl");
        let [one, other] = &candidates()[..] else {
            panic!("there are two");
        };
        let losses = BlockLosses::of_tokens(&[0.1, 0.2, 0.3], 2);
        fs_err::create_dir(path.parent().unwrap()).unwrap();
        let mut journal = Journal::open(path.clone()).unwrap();
        assert!(!path.exists(), "nothing is written before the first loss");
        journal.add(one, 0, &losses).unwrap();
        journal.add(other, 1, &losses).unwrap();
        let text = fs_err::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);

        // A kill in the middle of the last line.
        fs_err::write(&path, &text[..text.len() - 9]).unwrap();
        let mut journal = Journal::open(path.clone()).unwrap();
        assert_eq!(journal.known(one, 0), Some(&losses));
        assert_eq!(journal.known(one, 1), None);
        assert_eq!(journal.known(other, 1), None);
        journal.add(other, 1, &losses).unwrap();
        let mut journal = Journal::open(path.clone()).unwrap();
        assert_eq!(journal.known(one, 0), Some(&losses));
        assert_eq!(journal.known(other, 1), Some(&losses));

        // A byte of the first loss that is no text.
        let mut bytes = fs_err::read(&path).unwrap();
        let at = fs_err::read_to_string(&path)
            .unwrap()
            .find("sample")
            .unwrap();
        bytes[at] = 0xff;
        fs_err::write(&path, bytes).unwrap();
        let damaged = Journal::open(path.clone()).unwrap();
        assert_eq!(damaged.known(one, 0), None);
        assert_eq!(damaged.known(other, 1), Some(&losses));
        journal.clear().unwrap();
        assert!(!path.exists());
        assert_eq!(journal.known(one, 0), None);
    }

    #[test]
    fn other_files_are_not_read() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("scores.jsonl");
        fs_err::write(
            &path,
            "{\"format\":\"longrope-search-scores\",\"version\":2}\n{}\n",
        )
        .unwrap();
        assert!(Journal::open(path).unwrap().known.is_empty());
    }

    #[test]
    fn measured_methods_come_back() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("methods.jsonl");
        let loss = MethodLoss {
            method: "yarn".to_owned(),
            rope_fingerprint: Some("ab".to_owned()),
            nll_nats: 0.1 + 0.2,
            answer_nats: None,
            passkey_accuracy: Some(0.5),
            text_nats: vec![0.1 + 0.2],
            passkeys_found: vec![1, 0],
            difference: None,
            passkey_difference: None,
        };
        MethodJournal::open(path.clone())
            .unwrap()
            .add(&loss, Samples::HeldOut, 10)
            .unwrap();
        let mut journal = MethodJournal::open(path.clone()).unwrap();
        let held_out = Samples::HeldOut;
        assert_eq!(journal.known("yarn", held_out, 10), Some(&loss));
        assert_eq!(journal.known("yarn", held_out, 20), None);
        assert_eq!(journal.known("yarn", Samples::Search, 10), None);
        assert_eq!(journal.known("pi", held_out, 10), None);
        journal.clear().unwrap();
        assert!(!path.exists());
    }
}
