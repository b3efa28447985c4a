//! The callbacks through which a run measures, reports its progress and is interrupted.

use std::path::Path;

use longrope_model::Decoder;

use crate::error::HookResult;
use crate::session::TimedStep;

/// A measurement of a model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Mean loss, nats per token.
    pub nll_nats: f64,
    /// Share of passkeys found, 0 to 1, if they were measured.
    pub passkeys: Option<f64>,
}

impl Measurement {
    /// Perplexity, the exponential of the loss.
    pub fn ppl(&self) -> f64 {
        self.nll_nats.exp()
    }
}

impl From<f64> for Measurement {
    /// A measurement of the loss alone, nats per token.
    fn from(nll_nats: f64) -> Self {
        Self {
            nll_nats,
            passkeys: None,
        }
    }
}

/// The progress of a run.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum TrainEvent<'a> {
    /// The run starts at its first step.
    Begun {
        /// Steps in all.
        total_steps: usize,
    },
    /// The run resumes from a saved state.
    Resumed {
        /// Steps already made.
        step: usize,
        /// Steps in all.
        total_steps: usize,
    },
    /// A step was made.
    Step(&'a TimedStep),
    /// The model was measured.
    Measured {
        /// Steps made so far.
        step: usize,
        /// Context length, tokens.
        context: usize,
        /// The numbers.
        measurement: Measurement,
    },
    /// A state was saved.
    Saved {
        /// Steps made so far.
        step: usize,
        /// The folder of the state.
        folder: &'a Path,
    },
}

/// Measures a model, given the number of steps made and a context length in tokens.
pub type Measure = Box<dyn FnMut(&Decoder, usize, usize) -> HookResult<Measurement> + Send>;

/// Receives the progress of a run. An error ends the run.
pub type Watch = Box<dyn FnMut(TrainEvent<'_>) -> HookResult<()> + Send>;

/// The callbacks of a run. They are called one at a time, on the training thread.
pub struct Callbacks {
    /// Measures the model at each of the run's context lengths.
    pub measure: Measure,
    /// Receives the progress.
    pub watch: Watch,
    /// Whether to save the state and stop; asked after every step.
    pub should_stop: Box<dyn Fn() -> bool + Send>,
}

impl Default for Callbacks {
    /// Ignores the progress and never stops. Measuring fails, so the run must have no context lengths to measure.
    fn default() -> Self {
        Self {
            measure: Box::new(|_, _, _| Err("there is no callback to measure with".into())),
            watch: Box::new(|_| Ok(())),
            should_stop: Box::new(|| false),
        }
    }
}
