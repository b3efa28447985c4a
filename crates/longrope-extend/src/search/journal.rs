//! Losses of the running generation, saved as they are measured.
//!
//! The state of a search is saved after every generation. A generation can take hours, so each loss is also appended to
//! `search/scores.jsonl` as soon as it is known, and a search that was killed takes it from there instead of measuring
//! again. The file is removed when the state of the generation is saved.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use longrope_search::{BlockLosses, Candidate};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::json_files::json_lines;

/// Time between two calls that flush the file to disk. Against a kill, no flush is needed.
const FLUSH_EVERY: Duration = Duration::from_secs(20);

/// The losses, and the file they are kept in.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    /// Open for appending after the first loss.
    file: Option<fs_err::File>,
    known: HashMap<(Candidate, usize), BlockLosses>,
    flushed: Instant,
}

/// The first line.
#[derive(PartialEq, Serialize, Deserialize)]
struct Header {
    format: String,
    version: u32,
}

impl Header {
    fn new() -> Self {
        Self {
            format: "longrope-search-scores".to_owned(),
            version: 1,
        }
    }
}

/// One line after the header: the loss of a candidate on a sample.
#[derive(Serialize, Deserialize)]
struct Line {
    candidate: Candidate,
    sample: usize,
    losses: BlockLosses,
}

impl Journal {
    /// Reads the losses that an interrupted search has left. A last line that a kill has cut off is left out.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn open(path: PathBuf) -> Result<Self> {
        let text = if path.is_file() {
            fs_err::read_to_string(&path)?
        } else {
            String::new()
        };
        let mut lines = text.lines();
        let is_ours = lines
            .next()
            .and_then(|line| serde_json::from_str::<Header>(line).ok())
            .is_some_and(|header| header == Header::new());
        let lines: Vec<Line> = if is_ours {
            lines
                .filter_map(|line| serde_json::from_str(line).ok())
                .collect()
        } else {
            Vec::new()
        };
        let known = lines
            .into_iter()
            .map(|line| ((line.candidate, line.sample), line.losses));
        Ok(Self {
            path,
            file: None,
            known: known.collect(),
            flushed: Instant::now(),
        })
    }

    /// The loss of a candidate on a sample, if it was measured before the interruption.
    pub(crate) fn known(&self, candidate: &Candidate, sample: usize) -> Option<&BlockLosses> {
        // The search asks for few losses that are known, so the clone of the key does not matter.
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
        let line = Line {
            candidate: candidate.clone(),
            sample,
            losses: losses.clone(),
        };
        let text = json_lines([&line])?;
        let mut file = match self.file.take() {
            Some(file) => file,
            None => self.begin()?,
        };
        file.write_all(text.as_bytes())?;
        if self.flushed.elapsed() >= FLUSH_EVERY {
            file.sync_data()?;
            self.flushed = Instant::now();
        }
        self.file = Some(file);
        Ok(())
    }

    /// Writes the header and the losses that are known, and opens the file for appending.
    fn begin(&self) -> Result<fs_err::File> {
        let known = self.known.iter().map(|((candidate, sample), losses)| Line {
            candidate: candidate.clone(),
            sample: *sample,
            losses: losses.clone(),
        });
        let text = json_lines([Header::new()])? + &json_lines(known)?;
        longrope_data::write_atomically(&self.path, text.as_bytes())?;
        Ok(fs_err::OpenOptions::new().append(true).open(&self.path)?)
    }

    /// Removes the losses: the state with the scores is saved.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(crate) fn clear(&mut self) -> Result<()> {
        self.file = None;
        self.known.clear();
        if self.path.is_file() {
            fs_err::remove_file(&self.path)?;
        }
        Ok(())
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
}
