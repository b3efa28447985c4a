//! The jobs of one call, and their answers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// An answer and the time it took.
#[derive(Clone, Debug)]
pub struct Answered<T> {
    /// The answer.
    pub value: T,
    /// Time from the start of the job to its end.
    pub took: Duration,
}

/// The jobs of one call, and their answers so far. Jobs are known by their index.
pub(super) struct Call<J, T> {
    jobs: Vec<Arc<J>>,
    answers: Vec<Option<Answered<T>>>,
    /// Jobs that no worker has.
    waiting: VecDeque<usize>,
    n_answered: usize,
}

impl<J, T> Call<J, T> {
    /// A call whose jobs wait for workers.
    pub(super) fn new(jobs: Vec<J>) -> Self {
        Self {
            waiting: (0..jobs.len()).collect(),
            ..Self::given_out(jobs.into_iter().map(Arc::new).collect())
        }
    }

    /// A call with the same job for each of `n_workers` workers. None of them waits: the caller gives them out.
    pub(super) fn for_every_worker(job: J, n_workers: usize) -> Self {
        Self::given_out(std::iter::repeat_n(Arc::new(job), n_workers).collect())
    }

    fn given_out(jobs: Vec<Arc<J>>) -> Self {
        Self {
            answers: jobs.iter().map(|_| None).collect(),
            waiting: VecDeque::new(),
            jobs,
            n_answered: 0,
        }
    }

    /// Number of jobs that are answered.
    pub(super) fn n_answered(&self) -> usize {
        self.n_answered
    }

    /// Whether all jobs are answered.
    pub(super) fn is_done(&self) -> bool {
        self.n_answered == self.jobs.len()
    }

    /// Whether a job is answered.
    pub(super) fn is_answered(&self, index: usize) -> bool {
        self.answers[index].is_some()
    }

    /// The answer to a job, if there is one.
    pub(super) fn answer(&self, index: usize) -> Option<&T> {
        self.answers[index].as_ref().map(|answer| &answer.value)
    }

    /// A job.
    pub(super) fn job(&self, index: usize) -> Arc<J> {
        Arc::clone(&self.jobs[index])
    }

    /// Takes the next job that waits.
    pub(super) fn take_next(&mut self) -> Option<usize> {
        self.waiting.pop_front()
    }

    /// Lets a job wait that a worker has not answered. It is the next one.
    pub(super) fn put_back(&mut self, index: usize) {
        self.waiting.push_front(index);
    }

    /// Keeps the first answer to a job. Returns whether this is the first one.
    pub(super) fn record(&mut self, index: usize, answer: Answered<T>) -> bool {
        let is_first = self.answers[index].is_none();
        if is_first {
            self.answers[index] = Some(answer);
            self.n_answered += 1;
        }
        is_first
    }

    /// The answers, in the order of the jobs.
    pub(super) fn into_answers(self) -> Vec<Option<Answered<T>>> {
        self.answers
    }
}
