//! `metrics.jsonl`: a line per step and per measurement, in order, also after a resumption.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use longrope_trainer::TimedStep;
use serde::{Deserialize, Serialize};

use crate::run_dir::write_atomically;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(crate) enum Record {
    /// An optimizer step.
    Step {
        step: usize,
        loss: f64,
        nll_nats: f64,
        learning_rate: f64,
        grad_norm: f64,
        n_tokens: usize,
        tokens_per_second: f64,
        elapsed_secs: f64,
        peak_memory_bytes: Option<u64>,
        skipped: bool,
    },
    /// A measurement.
    Eval {
        step: usize,
        context: usize,
        nll_nats: f64,
        ppl: f64,
    },
}

impl Record {
    fn step(&self) -> usize {
        match self {
            Self::Step { step, .. } | Self::Eval { step, .. } => *step,
        }
    }
}

impl From<&TimedStep> for Record {
    fn from(timed: &TimedStep) -> Self {
        let report = &timed.report;
        Self::Step {
            step: report.step,
            loss: report.loss,
            nll_nats: report.nll_nats,
            learning_rate: report.learning_rate,
            grad_norm: report.grad_norm,
            n_tokens: report.n_tokens,
            tokens_per_second: report.n_tokens as f64 / timed.elapsed_secs.max(1e-9),
            elapsed_secs: timed.elapsed_secs,
            peak_memory_bytes: timed.peak_memory_bytes,
            skipped: report.skipped,
        }
    }
}

/// The file, open for more.
#[derive(Debug)]
pub(crate) struct Records {
    file: fs_err::File,
}

impl Records {
    /// Opens the file of a run that has made `n_steps`; what came after them goes.
    pub(crate) fn open(path: &Path, n_steps: usize) -> Result<Self> {
        let kept = read(path)?
            .into_iter()
            .filter(|record| record.step() <= n_steps);
        write_atomically(path, &crate::run_dir::json_lines(kept)?)?;
        let file = fs_err::OpenOptions::new()
            .append(true)
            .open(PathBuf::from(path))?;
        Ok(Self { file })
    }

    /// Adds a line.
    pub(crate) fn add(&mut self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_string(record)?;
        line.push('\n');
        self.file.write_all(line.as_bytes())?;
        Ok(())
    }
}

/// All whole lines of a file; none if there is no file.
pub(crate) fn read(path: &Path) -> Result<Vec<Record>> {
    if !path.is_file() {
        return Ok(Vec::new());
    }
    let text = fs_err::read_to_string(path)?;
    // A crash may have cut the last line.
    Ok(text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}
