//! Burn's training loop, counted in optimizer steps.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use burn::data::dataloader::Progress;
use burn::module::{Module, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use burn::train::{
    EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent,
    SupervisedLearningStrategy, SupervisedTrainingEventProcessor, TrainLoader, TrainOutput,
    TrainStep, TrainingComponents, TrainingItem, ValidLoader,
};

use super::parts::{Ending, EvalPoint, Session, TimedStep};
use crate::error::{Error, Result};
use crate::memory::peak_memory;

/// A handle on the session, which Burn treats as the model.
#[derive(Module, Debug)]
pub(super) struct Engine {
    /// A parameter on the session's device: Burn asks the model for its device.
    place: Param<Tensor<1>>,
    #[module(skip)]
    state: Shared,
}

/// The session and how it ended.
#[derive(Clone)]
struct Shared {
    session: Arc<Mutex<Option<Session>>>,
    outcome: Arc<Mutex<Option<Result<Ending>>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn new(session: Arc<Mutex<Option<Session>>>, device: &Device) -> Self {
        let state = Shared {
            session,
            outcome: Arc::default(),
        };
        Self {
            place: Param::from_tensor(Tensor::zeros([1], device)),
            state,
        }
    }

    /// How the loop ended.
    pub(super) fn ending(&self) -> Result<Ending> {
        let outcome = self
            .state
            .outcome
            .lock()
            .map_err(|_| Error::Panicked)?
            .take();
        outcome.unwrap_or(Err(Error::CutOff))
    }

    /// Calls `f` with the session. The first error ends the loop.
    fn with<T>(&self, f: impl FnOnce(&mut Session) -> Result<T>) -> Option<T> {
        let mut session = self.state.session.lock().ok()?;
        match f(session.as_mut()?) {
            Ok(value) => Some(value),
            Err(error) => {
                self.end(Err(error));
                None
            }
        }
    }

    /// Records how the loop ends; only the first call counts.
    fn end(&self, outcome: Result<Ending>) {
        if let Ok(mut slot) = self.state.outcome.lock() {
            slot.get_or_insert(outcome);
        }
    }

    fn has_ended(&self) -> bool {
        self.state
            .outcome
            .lock()
            .map_or(true, |outcome| outcome.is_some())
    }

    fn save(&self) {
        self.with(|session| (session.hooks.save)(&session.trainer).map_err(Error::Hook));
    }

    fn should_stop(&self) -> bool {
        self.with(|session| Ok((session.hooks.should_stop)()))
            .unwrap_or(true)
    }
}

impl TrainStep for Engine {
    type Input = usize;
    type Output = TimedStep;

    /// Makes one optimizer step. After an error, the returned item is not used.
    fn step(&self, _number: usize) -> TrainOutput<TimedStep> {
        let item = self.with(|session| {
            let start = Instant::now();
            let batches = (session.hooks.next)().map_err(Error::Hook)?;
            let report = session.trainer.step(&batches)?;
            let step = TimedStep {
                report,
                elapsed_secs: start.elapsed().as_secs_f64(),
                peak_memory_bytes: peak_memory(),
            };
            (session.hooks.on_step)(&step).map_err(Error::Hook)?;
            Ok(step)
        });
        TrainOutput {
            // The trainer has already updated the weights.
            grads: GradientsParams::new(),
            item: item.unwrap_or_default(),
        }
    }
}

impl InferenceStep for Engine {
    type Input = usize;
    type Output = EvalPoint;

    /// Measures at one context length. After an error, the returned point is not used.
    fn step(&self, context: usize) -> EvalPoint {
        let nll_nats = self.with(|session| {
            let trainer = &session.trainer;
            let measured = (session.hooks.evaluate)(trainer.decoder(), trainer.n_steps(), context);
            measured.map_err(Error::Hook)
        });
        EvalPoint {
            context,
            nll_nats: nll_nats.unwrap_or(f64::NAN),
        }
    }
}

/// The training strategy: steps, measurements and saves in order.
pub(super) struct StepByStep {
    pub(super) total_steps: usize,
    pub(super) eval_every: usize,
    pub(super) save_every: usize,
    /// Context lengths to measure before the first step.
    pub(super) due: Vec<usize>,
}

type Processor = SupervisedTrainingEventProcessor<Engine>;

impl SupervisedLearningStrategy<Engine> for StepByStep {
    fn fit(
        &self,
        components: TrainingComponents<Engine>,
        learner: Learner<Engine>,
        steps: TrainLoader<Engine>,
        contexts: ValidLoader<Engine>,
        _starting_epoch: usize,
    ) -> (Engine, Processor) {
        let n_done = self.total_steps.saturating_sub(steps.num_items());
        let mut run = Run {
            strategy: self,
            engine: learner.model(),
            screen: Events {
                processor: components.event_processor,
                interrupter: components.interrupter,
            },
            n_done,
            // The state of a resumed training has just been read.
            saved_at: (n_done > 0).then_some(n_done),
        };
        let mut numbers = steps.iter();
        if !self.due.is_empty() {
            let epoch = run.n_done.div_ceil(self.eval_every).max(1);
            let is_due = |context: usize| self.due.contains(&context);
            measure(&run.engine, &contexts, is_due, &mut run.screen, epoch);
        }
        while run.n_done < self.total_steps && !run.engine.has_ended() {
            // The first stretch of a resumed run ends where it would have ended without the interruption.
            let epoch = run.n_done / self.eval_every + 1;
            run.train(epoch, &mut numbers);
            if run.engine.has_ended() {
                break;
            }
            measure(&run.engine, &contexts, |_| true, &mut run.screen, epoch);
            run.screen.train(LearnerEvent::EndEpoch(epoch));
        }
        if run.saved_at != Some(run.n_done) {
            run.engine.save();
        }
        run.engine.end(Ok(Ending::Done));
        (run.engine, run.screen.processor)
    }
}

/// A training loop on its way.
struct Run<'a> {
    strategy: &'a StepByStep,
    engine: Engine,
    screen: Events,
    n_done: usize,
    /// The steps made when the state was saved last, or read.
    saved_at: Option<usize>,
}

impl Run<'_> {
    /// Makes the steps of an epoch, with the next of these numbers each, until the training ends.
    fn train<E>(
        &mut self,
        epoch: usize,
        numbers: &mut impl Iterator<Item = std::result::Result<usize, E>>,
    ) {
        let last = (epoch * self.strategy.eval_every).min(self.strategy.total_steps);
        let first = self.n_done;
        self.screen.train(LearnerEvent::StartSplit {
            epoch_number: epoch,
            total_items: last - first,
        });
        while self.n_done < last && !self.engine.has_ended() {
            let Some(Ok(number)) = numbers.next() else {
                break;
            };
            let item = TrainStep::step(&self.engine, number).item;
            if self.engine.has_ended() {
                break;
            }
            self.n_done = item.report.step;
            let progress = Progress::new(self.n_done - first, last - first, Some("steps".into()));
            let item = TrainingItem::new(item, progress, Some(self.n_done), None);
            self.screen.train(LearnerEvent::ProcessedItem(item));
            if self.n_done.is_multiple_of(self.strategy.save_every) {
                self.engine.save();
                self.saved_at = Some(self.n_done);
            }
            if self.screen.interrupter.should_stop() || self.engine.should_stop() {
                self.engine.end(Ok(Ending::Interrupted));
            }
        }
        self.screen.train(LearnerEvent::EndSplit(epoch));
    }
}

/// Measures at every context length that is `wanted`.
fn measure(
    engine: &Engine,
    contexts: &ValidLoader<Engine>,
    wanted: impl Fn(usize) -> bool,
    screen: &mut Events,
    epoch: usize,
) {
    let total_items = contexts.num_items();
    screen.valid(LearnerEvent::StartSplit {
        epoch_number: epoch,
        total_items,
    });
    let contexts = contexts.iter().flatten().filter(|context| wanted(*context));
    for (index, context) in contexts.enumerate() {
        let point = InferenceStep::step(engine, context);
        if engine.has_ended() {
            return;
        }
        let progress = Progress::new(index + 1, total_items, Some("contexts".into()));
        let item = TrainingItem::new(point, progress, Some(index + 1), None);
        screen.valid(LearnerEvent::ProcessedItem(item));
    }
    screen.valid(LearnerEvent::EndSplit(epoch));
}

/// Forwards events to Burn's event processor.
struct Events {
    processor: Processor,
    interrupter: Interrupter,
}

impl Events {
    fn train(&mut self, event: LearnerEvent<TimedStep>) {
        let result = self.processor.process_train(event);
        self.interrupter.fail_on_error(result);
    }

    fn valid(&mut self, event: LearnerEvent<EvalPoint>) {
        let result = self.processor.process_valid(event);
        self.interrupter.fail_on_error(result);
    }
}
