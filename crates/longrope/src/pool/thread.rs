//! The side of the pool that runs on the workers' threads.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Once};
use std::time::{Duration, Instant};

/// A job as it is handed out.
pub(super) struct Ticket<J> {
    pub(super) call: u64,
    pub(super) index: usize,
    pub(super) job: Arc<J>,
}

/// What a worker says.
pub(super) struct Event<T, E> {
    pub(super) worker: usize,
    pub(super) call: u64,
    pub(super) index: usize,
    pub(super) took: Duration,
    pub(super) answer: Answer<T, E>,
}

/// What came of a job.
pub(super) enum Answer<T, E> {
    Given(T),
    Refused(E),
    /// With the message of the panic.
    Panicked(String),
}

/// Where a worker finds its jobs.
pub(crate) struct Inbox<J, T, E> {
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

    /// Answers jobs until the pool is gone or a job panics.
    pub(crate) fn answer(self, mut work: impl FnMut(&J) -> Result<T, E>) {
        while let Ok(ticket) = self.tickets.recv() {
            let started = Instant::now();
            // After a panic nothing of `work` is used again.
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

/// Starts a thread, with threads of its own for parallel loops if a number is given.
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
    // Not joined: one whose device is silent would be waited for without end.
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

/// Keeps panics of workers off the terminal: the pool reports them as what they are, the loss of a
/// worker.
pub(crate) fn silence_panics() {
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
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied());
    let words = text.unwrap_or("it panicked").split_whitespace();
    words.collect::<Vec<_>>().join(" ")
}
