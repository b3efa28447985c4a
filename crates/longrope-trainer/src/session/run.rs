//! Runs a session under Burn's training loop.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::{Arc, Mutex};

use burn::data::dataloader::{DataLoader, DataLoaderBuilder, batcher::Batcher};
use burn::data::dataset::{Dataset, DatasetError, InMemDataset};
use burn::lr_scheduler::constant::ConstantLr;
use burn::optim::SgdConfig;
use burn::tensor::Device;
use burn::train::logger::InMemoryMetricLogger;
use burn::train::renderer::MetricsRenderer;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};

use super::dashboard::BurnDashboard;
use super::metrics::{eval_metric, step_metrics};
use super::parts::{Ending, Screen, Session};
use super::screen::NoScreen;
use super::strategy::{Engine, StepByStep};
use crate::error::{Error, Result};
use crate::trainer::Trainer;

impl Session {
    /// Trains to the last step, or until [`Hooks::should_stop`](super::Hooks::should_stop) says so.
    ///
    /// The state is saved every `save_every` steps, after the last step, on interruption, and before an error of the
    /// trainer is returned. That of a trainer which has made steps before is taken to be saved already.
    ///
    /// # Errors
    /// Those of the trainer; [`Error::Hook`] for those of the hooks.
    pub fn run(self) -> Result<(Trainer, Ending)> {
        let Self {
            total_steps,
            eval_every,
            save_every,
            screen,
            ref label,
            ..
        } = self;
        let (label, contexts, due) = (label.clone(), self.contexts.clone(), self.due.clone());
        let first = self.trainer.n_steps();
        let device = self.trainer.decoder().device().clone();
        let eval_every = eval_every.max(1);
        let n_epochs = total_steps.div_ceil(eval_every).max(1);
        let shared = Arc::new(Mutex::new(Some(self)));
        let engine = Engine::new(Arc::clone(&shared), &device);
        let interrupter = Interrupter::new();
        let renderer = renderer(screen, &interrupter);
        let mut training = SupervisedTraining::<Engine>::new(
            std::env::temp_dir(),
            numbers(Steps {
                first,
                end: total_steps,
            }),
            numbers(InMemDataset::new(contexts.clone())),
        )
        .with_interrupter(interrupter)
        // Burn's own log files are not written: the hooks keep the records.
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
            due,
        })));
        for metric in step_metrics() {
            training = training.metric_train_numeric(metric);
        }
        for context in contexts {
            training = training.metric_valid_numeric(eval_metric(context));
        }
        launch(training, engine.clone())?;
        let ending = engine.ending()?;
        drop(engine);
        let session = shared.lock().map_err(|_| Error::Panicked)?.take();
        let session = session.ok_or(Error::CutOff)?;
        Ok((session.trainer, ending))
    }
}

/// Runs the loop to its end.
fn launch(training: SupervisedTraining<Engine>, engine: Engine) -> Result<()> {
    // Burn requires an optimizer and a learning rate; the trainer uses its own.
    let learner = Learner::new(engine, SgdConfig::new().init(), ConstantLr::from(0.0));
    match catch_unwind(AssertUnwindSafe(|| training.launch(learner))) {
        Ok(result) => drop(result),
        // `q` and then `k` in the dashboard stop the training by a panic, after which nothing is saved.
        Err(panic) if is_kill(panic.as_ref()) => return Err(Error::Killed),
        Err(panic) => resume_unwind(panic),
    }
    Ok(())
}

fn renderer(screen: Screen, interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
    match screen {
        Screen::Dashboard => Box::new(BurnDashboard::open(interrupter)),
        Screen::Nothing => Box::new(NoScreen),
    }
}

/// Whether a panic is how Burn's dashboard stops a training at once.
fn is_kill(panic: &(dyn Any + Send)) -> bool {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    message == Some("Killing training from user input.")
}

/// The steps from `first` on, up to but without `end`.
struct Steps {
    first: usize,
    end: usize,
}

impl Dataset<usize> for Steps {
    fn get(&self, index: usize) -> std::result::Result<usize, DatasetError> {
        Ok(self.first + index)
    }

    fn len(&self) -> usize {
        self.end.saturating_sub(self.first)
    }
}

/// Numbers as Burn's data loader; the hooks fetch the actual data.
fn numbers(numbers: impl Dataset<usize> + 'static) -> Arc<dyn DataLoader<usize>> {
    #[derive(Clone)]
    struct One;
    impl Batcher<usize, usize> for One {
        fn batch(&self, items: Vec<usize>, _device: &Device) -> usize {
            items.first().copied().unwrap_or_default()
        }
    }
    DataLoaderBuilder::new(One).batch_size(1).build(numbers)
}
