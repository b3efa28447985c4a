//! Independent jobs, spread over workers with one thread each.
//!
//! A job is handed out only when a worker is free, so devices of unequal speed are all kept busy. Answers come back in
//! job order: they do not depend on the number of workers or on their speed.
//!
//! A worker whose job panics is retired with a warning, and another worker gets the job. If a worker holds a job for
//! much longer than an idle worker needed for its own jobs, the idle worker gets a copy of it: the first worker is slow,
//! or its device no longer answers. The first answer counts.

mod call;
mod status;
mod thread;

use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::interrupt::{Interrupt, Interrupted};

pub use call::Answered;
use call::Call;
pub use status::{CallStatus, WorkerState, WorkerStatus};
use thread::{Answer, Event, Ticket};
pub use thread::{Inbox, silence_panics};

/// The caller is notified at least this often, even if nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// A second worker gets a copy of a job once it has been under way for this many times the second worker's longest job...
const PATIENCE: u32 = 3;
/// ...and at least this long.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// Workers that answer jobs `J` with `T`, or fail with `E`.
pub struct Pool<J, T, E> {
    workers: Vec<Worker<J>>,
    events: Receiver<Event<T, E>>,
    sender: Sender<Event<T, E>>,
    /// Counts calls, so that an answer to an earlier call is not taken for an answer to this one.
    call: u64,
}

/// A worker, as the pool sees it.
struct Worker<J> {
    inbox: Sender<Ticket<J>>,
    busy: Option<Busy>,
    longest: Duration,
    status: WorkerStatus,
}

/// The job that a worker is doing.
#[derive(Clone, Copy)]
struct Busy {
    call: u64,
    job: usize,
    since: Instant,
}

/// Why a call ended without answers.
#[derive(Debug, thiserror::Error)]
pub enum PoolError<E> {
    /// The caller asked to stop.
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A job failed with an error of its own; another worker would fail too.
    #[error(transparent)]
    Refused(E),
    /// All workers have failed.
    #[error("no device is left to compute on, the last one, `{name}`, failed: {reason}")]
    NobodyLeft {
        /// The worker that failed last.
        name: String,
        /// Why it failed.
        reason: String,
    },
}

impl<J, T, E> fmt::Debug for Pool<J, T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.workers.iter().map(|worker| &worker.status);
        f.debug_list().entries(workers).finish()
    }
}

impl<J, T, E> Default for Pool<J, T, E>
where
    J: Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<J, T, E> Pool<J, T, E>
where
    J: Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    /// Makes a pool without workers.
    pub fn new() -> Self {
        silence_panics();
        let (sender, events) = channel();
        Self {
            workers: Vec::new(),
            events,
            sender,
            call: 0,
        }
    }

    /// Starts a worker: a thread that runs `body`, which answers jobs from its [`Inbox`].
    ///
    /// With `n_threads`, parallel loops of the body run in a thread pool of that size.
    ///
    /// # Errors
    /// If the system cannot start a thread.
    pub fn hire(
        &mut self,
        name: String,
        n_threads: Option<usize>,
        body: impl FnOnce(Inbox<J, T, E>) + Send + 'static,
    ) -> std::io::Result<()> {
        let (inbox, tickets) = channel();
        let inbox_of_thread = Inbox::new(self.workers.len(), tickets, self.sender.clone());
        thread::spawn(&name, n_threads, move || body(inbox_of_thread))?;
        self.workers.push(Worker {
            inbox,
            busy: None,
            longest: Duration::ZERO,
            status: WorkerStatus::new(name),
        });
        Ok(())
    }

    /// The state of every worker.
    pub fn status(&self) -> Vec<WorkerStatus> {
        self.workers
            .iter()
            .map(|worker| worker.status.clone())
            .collect()
    }

    /// Runs all jobs and returns their answers in job order. Calls `watch` after every answer, and at least every
    /// 100 ms.
    ///
    /// # Errors
    /// If an interrupt is requested, a job fails, or all workers have failed. Does not wait for jobs that are under way.
    pub fn run(
        &mut self,
        jobs: Vec<J>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
    ) -> Result<Vec<Answered<T>>, PoolError<E>> {
        self.run_each(jobs, interrupt, watch, &mut |_, _| Ok(()))
    }

    /// As [`Self::run`]. Also calls `each` with the index of every job and its answer, as soon as there is one.
    ///
    /// # Errors
    /// As [`Self::run`]; an error of `each` ends the call like that of a job.
    pub fn run_each(
        &mut self,
        jobs: Vec<J>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
        each: &mut dyn FnMut(usize, &T) -> Result<(), E>,
    ) -> Result<Vec<Answered<T>>, PoolError<E>> {
        self.call += 1;
        let mut call = Call::new(jobs);
        while !call.is_done() {
            if interrupt.requested() {
                return Err(Interrupted.into());
            }
            self.hand_out(&mut call);
            self.check_somebody_is_left()?;
            let news = match self.events.recv_timeout(TICK) {
                Ok(event) => self.note(event, &mut call)?,
                // The pool holds a sender itself.
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => None,
            };
            let answer = news.and_then(|index| Some((index, call.answer(index)?)));
            if let Some((index, answer)) = answer {
                each(index, answer).map_err(PoolError::Refused)?;
            }
            watch(&CallStatus {
                n_answered: call.n_answered(),
                news,
                workers: &self.status(),
            });
        }
        Ok(call.into_answers().into_iter().flatten().collect())
    }

    /// Gives the same job to every idle worker and returns each answer with the worker's name.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn ask_each(
        &mut self,
        job: J,
        interrupt: &Interrupt,
    ) -> Result<Vec<(String, T)>, PoolError<E>> {
        self.call += 1;
        let mut call = Call::for_every_worker(job, self.workers.len());
        for index in 0..self.workers.len() {
            if self.workers[index].status.state == WorkerState::Idle {
                self.assign(index, index, &mut call);
            }
        }
        while self.is_at_work_for(self.call) {
            if interrupt.requested() {
                return Err(Interrupted.into());
            }
            if let Ok(event) = self.events.recv_timeout(TICK) {
                self.note(event, &mut call)?;
            }
        }
        self.check_somebody_is_left()?;
        let names = self.workers.iter().map(|worker| &worker.status.name);
        let answers = names.zip(call.into_answers());
        Ok(answers
            .filter_map(|(name, answer)| Some((name.clone(), answer?.value)))
            .collect())
    }

    fn is_at_work_for(&self, call: u64) -> bool {
        let mut under_way = self.workers.iter().filter_map(|worker| worker.busy);
        under_way.any(|busy| busy.call == call)
    }

    /// Gives each idle worker the next job, or a copy of one that another worker has had for too long.
    fn hand_out(&mut self, call: &mut Call<J, T>) {
        for index in 0..self.workers.len() {
            if self.workers[index].status.state != WorkerState::Idle {
                continue;
            }
            let next = call.take_next();
            let Some(job) = next.or_else(|| self.straggler(index, call)) else {
                continue;
            };
            self.assign(index, job, call);
        }
    }

    fn assign(&mut self, index: usize, job: usize, call: &mut Call<J, T>) {
        let ticket = Ticket {
            call: self.call,
            index: job,
            job: call.job(job),
        };
        let worker = &mut self.workers[index];
        if worker.inbox.send(ticket).is_ok() {
            worker.status.state = WorkerState::Working;
            worker.busy = Some(Busy {
                call: self.call,
                job,
                since: Instant::now(),
            });
        } else {
            call.put_back(job);
            self.retire(index, "its thread has ended".to_owned());
        }
    }

    /// The job that has been under way longest, if worker `idle` would have finished it long ago.
    fn straggler(&self, idle: usize, call: &Call<J, T>) -> Option<usize> {
        let patience = (self.workers[idle].longest * PATIENCE).max(LEAST_PATIENCE);
        let under_way: Vec<Busy> = self
            .workers
            .iter()
            .filter_map(|worker| worker.busy)
            .filter(|busy| busy.call == self.call && !call.is_answered(busy.job))
            .collect();
        let n_copies = |job: usize| under_way.iter().filter(|busy| busy.job == job).count();
        under_way
            .iter()
            .filter(|busy| busy.since.elapsed() > patience && n_copies(busy.job) == 1)
            .min_by_key(|busy| busy.since)
            .map(|busy| busy.job)
    }

    /// Handles a worker's event. Returns the index of the job if this is its first answer.
    fn note(
        &mut self,
        event: Event<T, E>,
        call: &mut Call<J, T>,
    ) -> Result<Option<usize>, PoolError<E>> {
        let worker = &mut self.workers[event.worker];
        worker.busy = None;
        let is_current = event.call == self.call;
        match event.answer {
            Answer::Given(value) => {
                worker.status.state = WorkerState::Idle;
                worker.status.n_answered += 1;
                worker.status.worked += event.took;
                worker.longest = worker.longest.max(event.took);
                let took = event.took;
                if is_current && call.record(event.index, Answered { value, took }) {
                    return Ok(Some(event.index));
                }
            }
            Answer::Refused(error) => {
                worker.status.state = WorkerState::Idle;
                if is_current {
                    return Err(PoolError::Refused(error));
                }
            }
            Answer::Panicked(reason) => {
                self.retire(event.worker, reason);
                let elsewhere = self
                    .workers
                    .iter()
                    .filter_map(|worker| worker.busy)
                    .any(|busy| busy.call == event.call && busy.job == event.index);
                if is_current && !call.is_answered(event.index) && !elsewhere {
                    call.put_back(event.index);
                }
            }
        }
        Ok(None)
    }

    fn retire(&mut self, index: usize, reason: String) {
        let name = &self.workers[index].status.name;
        tracing::warn!("device `{name}` failed and is no longer used: {reason}");
        self.workers[index].status.state = WorkerState::Retired(reason);
    }

    fn check_somebody_is_left(&self) -> Result<(), PoolError<E>> {
        let mut last = None;
        for worker in &self.workers {
            match &worker.status.state {
                WorkerState::Retired(reason) => last = Some((&worker.status.name, reason)),
                _ => return Ok(()),
            }
        }
        let (name, reason) = last.map_or_else(
            || ("none".to_owned(), "the pool has no workers".to_owned()),
            |(name, reason)| (name.clone(), reason.clone()),
        );
        Err(PoolError::NobodyLeft { name, reason })
    }
}

#[cfg(test)]
mod tests;
