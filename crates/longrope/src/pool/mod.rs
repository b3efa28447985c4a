//! Independent jobs, spread over workers with a thread each.
//!
//! A job is handed out when a worker is free, not before, so that devices of unequal speed are all
//! kept busy. Answers come back in the order of the jobs: nobody can tell from them how many
//! workers there were, or who was faster.
//!
//! A worker whose job panics is retired with a warning, and the job goes to another. So does a job
//! whose worker is silent for much longer than the one that has nothing left to do would need: that
//! worker is slow, or its device is gone without a word. Whoever answers first is heard.

mod thread;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use crate::signals::{Interrupt, Interrupted};

use thread::{Answer, Event, Ticket};
pub(crate) use thread::{Inbox, silence_panics};

/// How often the caller hears of a pool in which nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// A job is given to a second worker after this many times the longest job of that worker...
const PATIENCE: u32 = 3;
/// ...and not before this.
const LEAST_PATIENCE: Duration = Duration::from_secs(2);

/// Workers that answer jobs `J` with `T`, or refuse them with `E`.
pub(crate) struct Pool<J, T, E> {
    workers: Vec<Worker<J>>,
    events: Receiver<Event<T, E>>,
    sender: Sender<Event<T, E>>,
    /// Counts calls: what was still under way when one ended must not answer the next.
    call: u64,
}

/// What the pool knows of a worker.
struct Worker<J> {
    inbox: Sender<Ticket<J>>,
    busy: Option<Busy>,
    longest: Duration,
    status: WorkerStatus,
}

/// The job a worker is at.
#[derive(Clone, Copy)]
struct Busy {
    call: u64,
    job: usize,
    since: Instant,
}

/// What there is to tell of a worker.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WorkerStatus {
    /// The name of its device.
    pub(crate) name: String,
    pub(crate) state: WorkerState,
    /// Jobs answered.
    pub(crate) n_answered: usize,
    /// Time spent on them.
    pub(crate) worked: Duration,
}

/// What a worker is doing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum WorkerState {
    Idle,
    Working,
    /// It failed, for this reason, and gets no more jobs.
    Retired(String),
}

/// How far a call is.
pub(crate) struct CallStatus<'a> {
    /// Jobs of this call that are answered.
    pub(crate) n_answered: usize,
    /// The job that just was, if there is news.
    pub(crate) news: Option<usize>,
    pub(crate) workers: &'a [WorkerStatus],
}

/// Why a call ended without answers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PoolError<E> {
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    /// A job was refused; another worker would refuse it too.
    #[error(transparent)]
    Refused(E),
    #[error("no device is left to compute on, the last one, `{name}`, failed: {reason}")]
    NobodyLeft { name: String, reason: String },
}

/// An answer and the time it took.
pub(crate) struct Answered<T> {
    pub(crate) value: T,
    pub(crate) took: Duration,
}

/// The jobs of one call.
struct Call<J, T> {
    jobs: Vec<Arc<J>>,
    answers: Vec<Option<Answered<T>>>,
    waiting: VecDeque<usize>,
    n_answered: usize,
}

impl<J, T, E> Pool<J, T, E>
where
    J: Send + Sync + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    /// A pool without workers.
    pub(crate) fn new() -> Self {
        silence_panics();
        let (sender, events) = channel();
        Self {
            workers: Vec::new(),
            events,
            sender,
            call: 0,
        }
    }

    /// Starts a worker: a thread on which `body` runs and answers jobs until there are no more.
    ///
    /// With `n_threads`, parallel loops of the body run on so many threads of its own.
    pub(crate) fn hire(
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
            status: WorkerStatus {
                name,
                state: WorkerState::Idle,
                n_answered: 0,
                worked: Duration::ZERO,
            },
        });
        Ok(())
    }

    /// What there is to tell of the workers.
    pub(crate) fn status(&self) -> Vec<WorkerStatus> {
        self.workers.iter().map(|it| it.status.clone()).collect()
    }

    /// Answers to all jobs, in their order. `watch` hears of every answer, and now and then when
    /// there is none.
    ///
    /// # Errors
    /// If the user interrupts, a job is refused, or all workers have failed. Jobs under way are not
    /// waited for.
    pub(crate) fn run(
        &mut self,
        jobs: Vec<J>,
        interrupt: &Interrupt,
        watch: &mut dyn FnMut(&CallStatus),
    ) -> Result<Vec<Answered<T>>, PoolError<E>> {
        self.call += 1;
        let mut call = Call {
            answers: jobs.iter().map(|_| None).collect(),
            waiting: (0..jobs.len()).collect(),
            jobs: jobs.into_iter().map(Arc::new).collect(),
            n_answered: 0,
        };
        while call.n_answered < call.jobs.len() {
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
            watch(&CallStatus {
                n_answered: call.n_answered,
                news,
                workers: &self.status(),
            });
        }
        let answers: Vec<Answered<T>> = call.answers.into_iter().flatten().collect();
        Ok(answers)
    }

    /// The answer of every worker that is free to one and the same job, with the worker's name.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(crate) fn ask_each(
        &mut self,
        job: J,
        interrupt: &Interrupt,
    ) -> Result<Vec<(String, T)>, PoolError<E>> {
        self.call += 1;
        let job = Arc::new(job);
        let mut call = Call {
            answers: self.workers.iter().map(|_| None).collect(),
            waiting: VecDeque::new(),
            jobs: self.workers.iter().map(|_| Arc::clone(&job)).collect(),
            n_answered: 0,
        };
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
        let answers = names.zip(call.answers);
        Ok(answers
            .filter_map(|(name, answer)| Some((name.clone(), answer?.value)))
            .collect())
    }

    fn is_at_work_for(&self, call: u64) -> bool {
        let mut under_way = self.workers.iter().filter_map(|worker| worker.busy);
        under_way.any(|busy| busy.call == call)
    }

    /// Gives each idle worker the next job, or one that somebody else has had for too long.
    fn hand_out(&mut self, call: &mut Call<J, T>) {
        for index in 0..self.workers.len() {
            if self.workers[index].status.state != WorkerState::Idle {
                continue;
            }
            let next = call.waiting.pop_front();
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
            job: Arc::clone(&call.jobs[job]),
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
            call.waiting.push_front(job);
            self.retire(index, "its thread has ended".to_owned());
        }
    }

    /// The job that has been under way longest, if that is too long by the measure of `idle`.
    fn straggler(&self, idle: usize, call: &Call<J, T>) -> Option<usize> {
        let patience = (self.workers[idle].longest * PATIENCE).max(LEAST_PATIENCE);
        let under_way: Vec<Busy> = self
            .workers
            .iter()
            .filter_map(|worker| worker.busy)
            .filter(|busy| busy.call == self.call && call.answers[busy.job].is_none())
            .collect();
        let n_copies = |job: usize| under_way.iter().filter(|busy| busy.job == job).count();
        under_way
            .iter()
            .filter(|busy| busy.since.elapsed() > patience && n_copies(busy.job) == 1)
            .min_by_key(|busy| busy.since)
            .map(|busy| busy.job)
    }

    /// Takes what a worker has to say; the job it answers if that is new.
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
                if is_current && call.answers[event.index].is_none() {
                    let took = event.took;
                    call.answers[event.index] = Some(Answered { value, took });
                    call.n_answered += 1;
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
                if is_current && call.answers[event.index].is_none() && !elsewhere {
                    call.waiting.push_front(event.index);
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
            || ("none".to_owned(), "there was none".to_owned()),
            |(name, reason)| (name.clone(), reason.clone()),
        );
        Err(PoolError::NobodyLeft { name, reason })
    }
}

#[cfg(test)]
mod tests;
