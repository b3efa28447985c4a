//! What a pool says about its workers and its progress.

use std::time::Duration;

/// The state of a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerStatus {
    /// The name of its device.
    pub name: String,
    /// What it is doing.
    pub state: WorkerState,
    /// Number of jobs answered.
    pub n_answered: usize,
    /// Time spent on them.
    pub worked: Duration,
}

impl WorkerStatus {
    /// That of a new worker.
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            state: WorkerState::Idle,
            n_answered: 0,
            worked: Duration::ZERO,
        }
    }
}

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerState {
    /// It waits for a job.
    Idle,
    /// It has a job.
    Working,
    /// It failed, for this reason, and gets no more jobs.
    Retired(String),
}

/// The progress of a call.
pub struct CallStatus<'a> {
    /// Number of jobs of this call that are answered.
    pub n_answered: usize,
    /// Index of the job that was just answered, if any.
    pub news: Option<usize>,
    /// All workers.
    pub workers: &'a [WorkerStatus],
}
