//! The part of the pool that runs on the workers' threads.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

/// A job, as it is sent to a worker.
pub(super) struct Ticket<J> {
    pub(super) call: u64,
    pub(super) index: usize,
    pub(super) job: Arc<J>,
}

/// A worker's message to the pool.
pub(super) struct Event<T, E> {
    pub(super) worker: usize,
    pub(super) call: u64,
    pub(super) index: usize,
    pub(super) took: Duration,
    pub(super) answer: Answer<T, E>,
}

/// The outcome of a job.
pub(super) enum Answer<T, E> {
    Given(T),
    Refused(E),
    /// The job panicked with this message.
    Panicked(String),
}

/// The end of a worker's channel: it receives jobs and sends answers.
pub struct Inbox<J, T, E> {
    worker: usize,
    tickets: Receiver<Ticket<J>>,
    events: Sender<Event<T, E>>,
}

impl<J, T, E> Inbox<J, T, E> {
    pub(super) fn new(
        worker: usize,
        tickets: Receiver<Ticket<J>>,
        events: Sender<Event<T, E>>,
    ) -> Self {
        Self {
            worker,
            tickets,
            events,
        }
    }

    /// Answers jobs with `work` until the pool is dropped or a job panics.
    pub fn answer(self, mut work: impl FnMut(&J) -> Result<T, E>) {
        while let Ok(ticket) = self.tickets.recv() {
            let started = Instant::now();
            // After a panic, `work` is not called again.
            let outcome = catch_unwind(AssertUnwindSafe(|| work(&ticket.job)));
            let answer = match outcome {
                Ok(Ok(value)) => Answer::Given(value),
                Ok(Err(error)) => Answer::Refused(error),
                Err(payload) => Answer::Panicked(message(payload.as_ref())),
            };
            let is_last = matches!(answer, Answer::Panicked(_));
            let event = Event {
                worker: self.worker,
                call: ticket.call,
                index: ticket.index,
                took: started.elapsed(),
                answer,
            };
            if self.events.send(event).is_err() || is_last {
                return;
            }
        }
    }
}

/// Starts a thread. With `n_threads`, parallel loops in `body` run in a thread pool of that size.
pub(super) fn spawn(
    name: &str,
    n_threads: Option<usize>,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<()> {
    let name = format!("worker {name}");
    let helpers = n_threads
        .map(|n_threads| {
            let name = name.clone();
            rayon::ThreadPoolBuilder::new()
                .num_threads(n_threads)
                .thread_name(move |index| format!("{name} {index}"))
                .start_handler(|_| IS_WORKER.set(true))
                .build()
                .map_err(std::io::Error::other)
        })
        .transpose()?;
    // Not joined: a thread whose device no longer answers would block for ever.
    std::thread::Builder::new().name(name).spawn(move || {
        IS_WORKER.set(true);
        match helpers {
            Some(helpers) => helpers.install(body),
            None => body(),
        }
    })?;
    Ok(())
}

thread_local! {
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
}

/// Keeps panics of workers off stderr. The pool reports them as a warning that a worker is retired.
///
/// [`Pool::new`](super::Pool::new) calls this. Call it before you install a panic hook of your own.
pub fn silence_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if IS_WORKER.get() {
                tracing::debug!("{info}");
            } else {
                loud(info);
            }
        }));
    });
}

/// The message of a panic, on one line.
pub(super) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    let words = text.unwrap_or("the worker panicked").split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}
