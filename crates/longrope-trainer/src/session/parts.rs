//! The types of a session.

use longrope_model::Decoder;

use crate::error::HookResult;
use crate::micro_batch::MicroBatch;
use crate::trainer::{StepReport, Trainer};

/// A measurement between two steps.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalPoint {
    /// Context length, tokens.
    pub context: usize,
    /// Mean loss, nats per token.
    pub nll_nats: f64,
}

/// A step with its time and memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimedStep {
    /// Loss, gradient norm and the like.
    pub report: StepReport,
    /// Duration, including the time to fetch data, seconds.
    pub elapsed_secs: f64,
    /// Peak memory of the process so far, bytes; see [`peak_memory`](crate::peak_memory).
    pub peak_memory_bytes: Option<u64>,
}

/// The callbacks of a session.
#[expect(
    clippy::type_complexity,
    reason = "each type is used once, and says what a name would hide"
)]
pub struct Hooks {
    /// Returns the micro-batches of the next step.
    pub next: Box<dyn FnMut() -> HookResult<Vec<MicroBatch>> + Send>,
    /// Called after every step.
    pub on_step: Box<dyn FnMut(&TimedStep) -> HookResult<()> + Send>,
    /// Returns the mean loss in nats per token, given the model, the number of steps made and a context length.
    pub evaluate: Box<dyn FnMut(&Decoder, usize, usize) -> HookResult<f64> + Send>,
    /// Saves the state.
    pub save: Box<dyn FnMut(&Trainer) -> HookResult<()> + Send>,
    /// Whether to stop after the current step.
    pub should_stop: Box<dyn Fn() -> bool + Send>,
}

/// What a session draws in the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Burn's dashboard, which takes over the whole terminal.
    Dashboard,
    /// Nothing.
    Nothing,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// After its last step.
    Done,
    /// Earlier, because [`Hooks::should_stop`] or the dashboard asked for it; the state is saved.
    Interrupted,
}

/// A [`Trainer`] with the callbacks and intervals of its training loop.
pub struct Session {
    /// Makes the steps.
    pub trainer: Trainer,
    /// The callbacks.
    pub hooks: Hooks,
    /// Steps in all, including those the trainer has already made.
    pub total_steps: usize,
    /// Steps between two measurements.
    pub eval_every: usize,
    /// Context lengths to measure, tokens.
    pub contexts: Vec<usize>,
    /// Those of them to measure before the next step, because an interruption cut the measurement after the last one.
    pub due: Vec<usize>,
    /// Steps between two saved states.
    pub save_every: usize,
    /// What is drawn in the terminal.
    pub screen: Screen,
    /// Name of the run, shown by the dashboard.
    pub label: String,
}
