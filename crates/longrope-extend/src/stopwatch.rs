//! The time of a job, over all processes that work on it.

use std::path::PathBuf;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::json_files::{read_json, write_json};

const FORMAT: &str = "longrope-time";
const VERSION: u32 = 1;

/// The file with the time so far.
#[derive(Serialize, Deserialize)]
struct Saved {
    format: String,
    version: u32,
    elapsed_secs: f64,
}

/// Measures the time of a job that may be interrupted and resumed. The time so far is in a file until the job is done.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    path: PathBuf,
    /// The time of earlier processes.
    before_secs: f64,
    started: Instant,
}

impl Stopwatch {
    /// Starts from the time in this file; from 0 if there is no file, or it cannot be read.
    pub(crate) fn start(path: PathBuf) -> Self {
        Self::start_from(path, 0.0)
    }

    /// As [`Self::start`]; without a file, from this time, seconds.
    pub(crate) fn start_from(path: PathBuf, otherwise: f64) -> Self {
        let saved: Option<Saved> = read_json(&path).ok();
        let saved = saved.filter(|saved| saved.format == FORMAT && saved.version == VERSION);
        Self {
            path,
            before_secs: saved.map_or(otherwise, |saved| saved.elapsed_secs),
            started: Instant::now(),
        }
    }

    /// The time so far, seconds.
    pub(crate) fn elapsed_secs(&self) -> f64 {
        self.before_secs + self.started.elapsed().as_secs_f64()
    }

    /// Saves the time so far.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn save(&self) -> Result<()> {
        let saved = Saved {
            format: FORMAT.to_owned(),
            version: VERSION,
            elapsed_secs: self.elapsed_secs(),
        };
        write_json(&self.path, &saved)
    }

    /// As [`Self::save`], after a failure, which is what has to be reported: another one is only logged.
    pub(crate) fn save_if_possible(&self) {
        if let Err(error) = self.save() {
            tracing::warn!("the time so far is lost: {error}");
        }
    }

    /// Removes the file: the time is in the result.
    ///
    /// # Errors
    /// If the file cannot be removed.
    pub(crate) fn clear(&self) -> Result<()> {
        if self.path.is_file() {
            fs_err::remove_file(&self.path)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_earlier_processes_counts() {
        let here = tempfile::tempdir().unwrap();
        let path = here.path().join("time.json");
        let first = Stopwatch::start(path.clone());
        assert!((0.0..60.0).contains(&first.elapsed_secs()));
        let first = Stopwatch {
            before_secs: 500.0,
            ..first
        };
        first.save().unwrap();
        let second = Stopwatch::start(path.clone());
        assert!((500.0..600.0).contains(&second.elapsed_secs()));
        second.clear().unwrap();
        assert!(!path.exists());
        // What cannot be read is no time.
        fs_err::write(&path, "{}").unwrap();
        assert!(Stopwatch::start(path).elapsed_secs() < 60.0);
    }
}
