//! A training run under Burn's loop: dashboard, metrics, interruption.
//!
//! Burn counts epochs; a run here counts optimizer steps, so an epoch is the stretch between two
//! evaluations. The engine keeps the weights: Burn's own step would hold the old and the new ones at
//! once.

mod metrics;
mod screen;
mod strategy;

use std::sync::{Arc, Mutex};

use burn::data::dataloader::{DataLoader, DataLoaderBuilder, batcher::Batcher};
use burn::data::dataset::InMemDataset;
use burn::lr_scheduler::constant::ConstantLr;
use burn::optim::SgdConfig;
use burn::tensor::Device;
use burn::train::logger::InMemoryMetricLogger;
use burn::train::renderer::{MetricsRenderer, tui::TuiMetricsRendererWrapper};
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use longrope_model::Decoder;

use crate::error::{Error, Result};
use crate::trainer::{MicroBatch, StepReport, Trainer};
use metrics::{eval_metric, step_metrics};
use screen::NoScreen;
use strategy::{Engine, StepByStep};

/// What a caller's part of a session gives back.
pub type HookResult<T> = std::result::Result<T, HookError>;

/// Why a caller's part of a session failed.
pub type HookError = Box<dyn std::error::Error + Send + Sync>;

/// A measurement between steps.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalPoint {
    /// Tokens of context.
    pub context: usize,
    /// Mean loss, nats per token.
    pub nll_nats: f64,
}

/// A step and what it cost.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TimedStep {
    /// What it did.
    pub report: StepReport,
    /// How long it took, data included.
    pub elapsed_secs: f64,
    /// Most memory that the process has had so far, where the system tells.
    pub peak_memory_bytes: Option<u64>,
}

/// The caller's part: data in, measurements and files out.
#[expect(
    clippy::type_complexity,
    reason = "each type is used once, and says what a name would hide"
)]
pub struct Hooks {
    /// The micro-batches of the next step.
    pub next: Box<dyn FnMut() -> HookResult<Vec<MicroBatch>> + Send>,
    /// Told of every step.
    pub on_step: Box<dyn FnMut(&TimedStep) -> HookResult<()> + Send>,
    /// Mean loss in nats of the model after so many steps, at a context.
    pub evaluate: Box<dyn FnMut(&Decoder, usize, usize) -> HookResult<f64> + Send>,
    /// Saves the state.
    pub save: Box<dyn FnMut(&Trainer) -> HookResult<()> + Send>,
    /// Whether the user wants to stop.
    pub should_stop: Box<dyn Fn() -> bool + Send>,
}

/// What is shown while training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Burn's dashboard; takes the whole terminal.
    Dashboard,
    /// Nothing; the caller shows what its hooks are told.
    Nothing,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All steps were made.
    Done,
    /// The user stopped it; the state is saved.
    Interrupted,
}

/// A run: the engine, the caller's part, and when to measure and save.
pub struct Session {
    /// The engine.
    pub trainer: Trainer,
    /// The caller's part.
    pub hooks: Hooks,
    /// Steps in all.
    pub total_steps: usize,
    /// Steps between measurements.
    pub eval_every: usize,
    /// Contexts that are measured, tokens.
    pub contexts: Vec<usize>,
    /// Steps between saved states.
    pub save_every: usize,
    /// What is shown.
    pub screen: Screen,
    /// Name of the run, for the dashboard.
    pub label: String,
}

impl Session {
    /// Trains to the last step, or until the user stops.
    ///
    /// The state is saved every `save_every` steps, at the end, when the user stops, and before an
    /// error of the engine is returned.
    ///
    /// # Errors
    /// Those of the engine and of the hooks.
    pub fn run(self) -> Result<(Trainer, Ending)> {
        let Self {
            total_steps,
            eval_every,
            save_every,
            screen,
            ref label,
            ..
        } = self;
        let (label, contexts) = (label.clone(), self.contexts.clone());
        let first = self.trainer.n_steps();
        let device = self.trainer.decoder().device().clone();
        let eval_every = eval_every.max(1);
        let n_epochs = total_steps.div_ceil(eval_every).max(1);
        let shared = Arc::new(Mutex::new(Some(self)));
        let engine = Engine::new(Arc::clone(&shared), &device);
        let interrupter = Interrupter::new();
        let renderer: Box<dyn MetricsRenderer> = match screen {
            Screen::Dashboard => {
                Box::new(TuiMetricsRendererWrapper::new(interrupter.clone(), None))
            }
            Screen::Nothing => Box::new(NoScreen),
        };
        let mut training = SupervisedTraining::<Engine>::new(
            std::env::temp_dir(),
            numbers((first..total_steps).collect()),
            numbers(contexts.clone()),
        )
        .with_interrupter(interrupter)
        // Burn's files are not written: the caller's hooks keep the records.
        .with_application_logger(None)
        .with_metric_logger(InMemoryMetricLogger::new())
        .renderer(renderer)
        .num_epochs(n_epochs)
        .checkpoint(first / eval_every)
        .label(&label)
        .with_training_strategy(TrainingStrategy::Custom(Arc::new(StepByStep {
            total_steps,
            eval_every,
            save_every: save_every.max(1),
        })));
        for metric in step_metrics() {
            training = training.metric_train_numeric(metric);
        }
        for context in contexts {
            training = training.metric_valid_numeric(eval_metric(context));
        }
        // Burn wants an optimizer and a rate; the engine has its own.
        let learner = Learner::new(
            engine.clone(),
            SgdConfig::new().init(),
            ConstantLr::from(0.0),
        );
        let result = training.launch(learner);
        drop(result);
        let ending = engine.ending()?;
        drop(engine);
        let session = shared
            .lock()
            .map_err(|_| Error::Session("the training thread panicked".to_owned()))?
            .take();
        match session {
            Some(session) => Ok((session.trainer, ending)),
            None => Err(Error::Session("the training thread is gone".to_owned())),
        }
    }
}

/// Numbers as Burn's data loader; the engine fetches its data itself.
fn numbers(numbers: Vec<usize>) -> Arc<dyn DataLoader<usize>> {
    #[derive(Clone)]
    struct One;
    impl Batcher<usize, usize> for One {
        fn batch(&self, items: Vec<usize>, _device: &Device) -> usize {
            items.first().copied().unwrap_or_default()
        }
    }
    DataLoaderBuilder::new(One)
        .batch_size(1)
        .build(InMemDataset::new(numbers))
}
