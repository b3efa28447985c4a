//! What a pretraining reports while it runs.

use std::sync::{Arc, Mutex, PoisonError};

use longrope_trainer::HookResult;
use longrope_trainer::run::TrainEvent;

use super::config::PretrainPhase;

/// The progress of a pretraining.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum PretrainEvent<'e> {
    /// The tokenizer is about to be trained.
    TrainingTokenizer,
    /// The tokenizer has been trained.
    TrainedTokenizer,
    /// Documents are being tokenized. Comes before the first document and after each.
    Tokenizing {
        /// Documents tokenized so far.
        done: usize,
        /// Documents in all.
        total: usize,
    },
    /// A phase is being trained.
    Phase {
        /// The phase.
        phase: &'e PretrainPhase,
        /// Its progress.
        event: TrainEvent<'e>,
    },
}

type Function = dyn FnMut(PretrainEvent<'_>) -> HookResult<()> + Send;

/// The caller's function, shared by all phases. It is called one event at a time.
#[derive(Clone)]
pub(super) struct SharedWatch(Arc<Mutex<Box<Function>>>);

impl SharedWatch {
    pub(super) fn new(
        watch: impl FnMut(PretrainEvent<'_>) -> HookResult<()> + Send + 'static,
    ) -> Self {
        Self(Arc::new(Mutex::new(Box::new(watch))))
    }

    /// Calls the function. Its error is [`longrope_trainer::Error::Hook`].
    pub(super) fn event(&self, event: PretrainEvent<'_>) -> longrope_trainer::Result<()> {
        self.try_event(event).map_err(longrope_trainer::Error::Hook)
    }

    /// Calls the function and returns its own error.
    pub(super) fn try_event(&self, event: PretrainEvent<'_>) -> HookResult<()> {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (*watch)(event)
    }
}
