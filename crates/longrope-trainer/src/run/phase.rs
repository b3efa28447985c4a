//! A stretch of training with one schedule: begun or resumed in a folder, recorded and saved there.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use longrope_data::{Mixture, MixtureCursor};
use longrope_model::{Decoder, LoraConfig, ResultSource};
use serde_json::Value;

use super::batches::Batching;
use super::callbacks::{Callbacks, Measure, TrainEvent, Watch};
use super::distill::Distillation;
use super::records::{Record, Records};
use super::rotaries::Rotaries;
use super::saved;
use crate::checkpoint::{self, SaveContext};
use crate::error::{Error, HookError, HookResult, Result};
use crate::micro_batch::MicroBatch;
use crate::session::{Ending, Hooks, Screen, Session, TimedStep};
use crate::trainer::{Trainer, TrainerConfig};
use crate::workers::Worker;

/// A stretch of training with one schedule.
///
/// Fine-tuning is one phase, see [`train`](super::train); pretraining is several, each with its own data and schedule.
pub struct Phase {
    /// Name of the phase in the metrics; `None` if there is only one.
    pub name: Option<String>,
    /// Folder of the saved states.
    pub folder: PathBuf,
    /// The checkpoint that training began with; saved states take their `config.json` and tokenizer from it.
    pub base: PathBuf,
    /// The file of metrics, which phases may share; see [`records`](super::records).
    pub metrics: PathBuf,
    /// Where the trained model goes in the end. While it is there, a phase without saved states is not begun.
    pub model: PathBuf,
    /// What the training is made from, for the header of that file; `None` to say nothing.
    pub source: Option<ResultSource>,
    /// Schedule, optimizer and trained weights.
    pub trainer: TrainerConfig,
    /// Settings of the decoder's adapters, if those are trained.
    pub lora: Option<LoraConfig>,
    /// The devices that share the micro-batches of a step; if empty, the device of the decoder computes them all.
    pub workers: Vec<Worker>,
    /// The data, at its beginning.
    pub windows: Mixture,
    /// The angles of the windows.
    pub rotaries: Rotaries,
    /// The original model, if some windows are compared with it.
    pub distillation: Option<Distillation>,
    /// Windows that go through the model at once.
    pub batch: usize,
    /// Batches of a step.
    pub accumulate: usize,
    /// Context lengths to measure, tokens.
    pub contexts: Vec<usize>,
    /// Steps between two measurements.
    pub eval_every: usize,
    /// Steps between two saved states.
    pub save_every: usize,
    /// Number of saved states to keep.
    pub keep: usize,
    /// Identifies everything that must be the same for a saved state to be resumed.
    pub settings: Value,
    /// Whether to resume from the latest saved state, if there is one.
    pub resume: bool,
    /// What is drawn in the terminal.
    pub screen: Screen,
    /// Name of the run, shown by the dashboard.
    pub label: String,
}

impl Phase {
    /// Trains `decoder`, the model of `base`, to the last step or until interrupted. The last state is saved either way.
    ///
    /// # Errors
    /// - [`Error::OtherSettings`] if a state was saved under other settings, and others for a state that cannot be read.
    /// - [`Error::StatesGone`] if it is to be resumed, and its saved states were removed.
    /// - [`Error::Run`] for everything that fails between the first and the last step.
    /// - Settings that are out of range, and files that cannot be written.
    pub fn train(self, decoder: Decoder, callbacks: Callbacks) -> Result<(Trainer, Ending)> {
        let folder = self.folder.clone();
        let session = self.session(decoder, callbacks)?;
        session.run().map_err(|error| Error::Run {
            folder,
            source: Box::new(unwrapped(error)),
        })
    }

    /// The training as a session, at its first step or at the latest saved state.
    fn session(mut self, decoder: Decoder, callbacks: Callbacks) -> Result<Session> {
        let Callbacks {
            measure,
            mut watch,
            should_stop,
        } = callbacks;
        let total_steps = self.trainer.schedule.total_steps;
        let (trainer, event) = self.begin(decoder)?;
        watch(event).map_err(Error::Hook)?;
        let n_steps = trainer.n_steps();
        let (phase, source) = (self.name.as_deref(), self.source.as_ref());
        // The last step is saved too.
        let save_every = self.save_every.min(total_steps);
        let records = Records::open(&self.metrics, phase, n_steps, save_every, source)?;
        let due = self.due(n_steps)?;
        let named = source.map(|source| PathBuf::from(&source.model));
        let file = named.filter(|model| model.is_file());
        let parts = Parts {
            name: self.name,
            folder: self.folder,
            base: self.base,
            file,
            lora: self.lora,
            before: self.windows.cursor(),
            windows: self.windows,
            n_steps,
            batching: Batching {
                rotaries: self.rotaries,
                distillation: self.distillation,
                batch: self.batch.max(1),
                accumulate: self.accumulate.max(1),
            },
            keep: self.keep,
            settings: self.settings,
            records,
            measure,
            watch,
        };
        Ok(Session {
            trainer,
            hooks: hooks(parts, should_stop),
            total_steps,
            eval_every: self.eval_every,
            contexts: self.contexts,
            due,
            save_every: self.save_every,
            screen: self.screen,
            label: self.label,
        })
    }

    /// A trainer at its first step or at the latest saved state, and which of them it is. Moves the data to that place.
    fn begin(&mut self, decoder: Decoder) -> Result<(Trainer, TrainEvent<'static>)> {
        let config = self.trainer.clone();
        let total_steps = config.schedule.total_steps;
        let latest = if self.resume {
            checkpoint::end_replacements(&self.folder);
            checkpoint::latest_whole(&self.folder)?
        } else {
            None
        };
        if self.resume && latest.is_none() {
            self.check_never_saved()?;
        }
        let (trainer, event) = if let Some(state) = latest {
            let (settings, windows) = (&self.settings, &mut self.windows);
            let trainer = saved::restore(&state, settings, decoder, config, windows)?;
            let step = trainer.n_steps();
            (trainer, TrainEvent::Resumed { step, total_steps })
        } else {
            let trainer = Trainer::new(decoder, config)?;
            (trainer, TrainEvent::Begun { total_steps })
        };
        Ok((trainer.with_workers(&self.workers)?, event))
    }

    /// Checks that the saved states of a phase that is to be resumed were not removed. Nothing is written.
    ///
    /// # Errors
    /// [`Error::StatesGone`] if they were.
    pub(super) fn check_states(&self) -> Result<()> {
        if !self.resume || checkpoint::has_state(&self.folder) {
            return Ok(());
        }
        self.check_never_saved()
    }

    fn check_never_saved(&self) -> Result<()> {
        let (folder, model, metrics) = (&self.folder, &self.model, &self.metrics);
        saved::check_never_saved(
            folder,
            model,
            metrics,
            self.name.as_deref(),
            self.save_every,
        )
    }

    /// The context lengths that an interruption left unmeasured after the last of `n_steps` steps.
    fn due(&self, n_steps: usize) -> Result<Vec<usize>> {
        let is_last = n_steps >= self.trainer.schedule.total_steps;
        let is_measured = n_steps.is_multiple_of(self.eval_every.max(1)) || is_last;
        if n_steps == 0 || !is_measured {
            return Ok(Vec::new());
        }
        let phase = self.name.as_deref();
        Records::unmeasured(&self.metrics, phase, n_steps, &self.contexts)
    }
}

/// What the hooks of the session share.
struct Parts {
    name: Option<String>,
    folder: PathBuf,
    base: PathBuf,
    /// The file that `base` was unpacked from, if it was.
    file: Option<PathBuf>,
    lora: Option<LoraConfig>,
    windows: Mixture,
    /// Place in `windows` before the batches of the latest step.
    before: MixtureCursor,
    /// Steps whose batches have been made, or should have been.
    n_steps: usize,
    batching: Batching,
    keep: usize,
    settings: Value,
    records: Records,
    measure: Measure,
    watch: Watch,
}

impl Parts {
    /// The batches of the next step.
    fn next(&mut self) -> Result<Vec<MicroBatch>> {
        let step = self.n_steps;
        self.before = self.windows.cursor();
        self.n_steps += 1;
        self.batching.of_step(&mut self.windows, step)
    }

    fn on_step(&mut self, step: &TimedStep) -> HookResult<()> {
        let report = &step.report;
        self.records
            .add(&Record::of_step(self.name.as_deref(), step))?;
        if report.skipped {
            tracing::warn!(
                "step {}: loss {} or gradients not finite, weights left unchanged",
                report.step,
                report.loss
            );
        }
        (self.watch)(TrainEvent::Step(step))
    }

    /// Measures at one context length and returns the loss, nats per token.
    fn evaluate(&mut self, decoder: &Decoder, step: usize, context: usize) -> HookResult<f64> {
        let measurement = (self.measure)(decoder, step, context)?;
        self.records.add(&Record::Eval {
            phase: self.name.clone(),
            step,
            context: Some(context),
            nll_nats: measurement.nll_nats,
            ppl: measurement.ppl(),
            passkeys: measurement.passkeys,
        })?;
        (self.watch)(TrainEvent::Measured {
            step,
            context,
            measurement,
        })?;
        Ok(measurement.nll_nats)
    }

    /// Saves the state. After a step that failed, its windows are still to come.
    fn save(&mut self, trainer: &Trainer) -> HookResult<()> {
        let cursor = if trainer.n_steps() < self.n_steps {
            self.before.clone()
        } else {
            self.windows.cursor()
        };
        let context = SaveContext {
            base: &self.base,
            file: self.file.as_deref(),
            lora: self.lora.as_ref(),
            keep: self.keep,
        };
        let folder = saved::save(&self.folder, trainer, &cursor, &self.settings, &context)?;
        (self.watch)(TrainEvent::Saved {
            step: trainer.n_steps(),
            folder: &folder,
        })
    }
}

fn hooks(parts: Parts, should_stop: Box<dyn Fn() -> bool + Send>) -> Hooks {
    /// Calls `f` with the parts, which the hooks use one at a time.
    fn with<T>(parts: &Mutex<Parts>, f: impl FnOnce(&mut Parts) -> HookResult<T>) -> HookResult<T> {
        f(&mut *parts.lock().map_err(|_| Error::Panicked)?)
    }
    let shared = Arc::new(Mutex::new(parts));
    let [next, on_step, evaluate, save] = std::array::from_fn(|_| Arc::clone(&shared));
    Hooks {
        next: Box::new(move || with(&next, |parts| parts.next().map_err(HookError::from))),
        on_step: Box::new(move |step| with(&on_step, |parts| parts.on_step(step))),
        evaluate: Box::new(move |decoder, step, context| {
            with(&evaluate, |parts| parts.evaluate(decoder, step, context))
        }),
        save: Box::new(move |trainer| with(&save, |parts| parts.save(trainer))),
        should_stop,
    }
}

/// The error of this crate that a hook has returned.
fn unwrapped(error: Error) -> Error {
    match error {
        Error::Hook(inner) => match inner.downcast::<Error>() {
            Ok(inner) => *inner,
            Err(inner) => Error::Hook(inner),
        },
        other => other,
    }
}

#[cfg(test)]
#[path = "phase_tests.rs"]
mod tests;
