//! Adapts a model to a RoPE before it is scored: a few steps of training of low-rank adapters, each RoPE once.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use longrope_model::Decoder;
use longrope_rope::RopeSpec;
use longrope_trainer::Error as TrainError;
use longrope_trainer::run::{AdapterTraining, AdapterWindows, Adapters, TrainConfig};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// How a model was adapted before it was measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adapted {
    /// Steps of training.
    pub steps: usize,
    /// Tokens of a window.
    pub window: usize,
    /// Tokens of the text that positions lie in.
    pub target: usize,
    /// Tokens that went through the model in the training, for each RoPE.
    pub tokens: usize,
}

impl fmt::Display for Adapted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            steps,
            window,
            target,
            ..
        } = self;
        write!(
            f,
            "adapted: {}, window {window}, positions skip to {target}",
            longrope_data::counted(*steps, "step")
        )
    }
}

/// Adapts copies of a model, each to a RoPE. The training is the same for all: same seed, windows and positions.
#[derive(Debug)]
pub struct Adaptation {
    training: AdapterTraining,
    report: Adapted,
    /// The adapters trained so far. Any worker can put them into its copy of the model.
    known: Mutex<Vec<(RopeSpec, Arc<Adapters>)>>,
}

/// What a model is adapted to for a job.
#[derive(Clone, Debug)]
pub struct AdaptJob {
    /// The training.
    pub adaptation: Arc<Adaptation>,
    /// The RoPE to train under.
    pub rope: Arc<RopeSpec>,
}

impl Adaptation {
    /// The training that `config` describes, on these windows, whose positions lie in a text of `target` tokens.
    ///
    /// # Errors
    /// Those of [`AdapterTraining::new`].
    pub fn new(
        decoder: &Decoder,
        config: TrainConfig,
        windows: AdapterWindows<'_>,
        target: usize,
    ) -> Result<Self> {
        let steps = config.steps;
        let training = AdapterTraining::new(decoder, config, windows)?;
        Ok(Self {
            report: Adapted {
                steps,
                window: windows.window,
                target,
                tokens: training.n_tokens(),
            },
            training,
            known: Mutex::default(),
        })
    }

    /// What results say about it.
    pub fn report(&self) -> &Adapted {
        &self.report
    }

    /// Drops the adapters trained so far: their RoPEs will not be measured again.
    pub(crate) fn forget(&self) {
        self.known().clear();
    }

    /// A copy of the model, adapted to a RoPE; `None` if its losses are not finite under this RoPE.
    pub(super) fn adapted(
        &self,
        decoder: &Decoder,
        rope: &RopeSpec,
    ) -> longrope_eval::Result<Option<Decoder>> {
        let adapted = match self.adapters(rope) {
            Some(adapters) => self.training.with_adapters(decoder, &adapters),
            None => self.training.train(decoder, rope),
        };
        let decoder = match adapted {
            Ok(decoder) => decoder,
            Err(error @ (TrainError::NotFinite { .. } | TrainError::NeverFinite { .. })) => {
                tracing::debug!("a RoPE cannot be adapted to: {error}");
                return Ok(None);
            }
            Err(error) => return Err(in_eval(error)),
        };
        let mut known = self.known();
        if !known.iter().any(|(other, _)| other == rope) {
            known.push((rope.clone(), Arc::new(Adapters::of(&decoder))));
        }
        Ok(Some(decoder))
    }

    fn adapters(&self, rope: &RopeSpec) -> Option<Arc<Adapters>> {
        let known = self.known();
        let found = known.iter().find(|(other, _)| other == rope);
        found.map(|(_, adapters)| Arc::clone(adapters))
    }

    fn known(&self) -> MutexGuard<'_, Vec<(RopeSpec, Arc<Adapters>)>> {
        // Nothing is half done while it is locked.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An error of training, in the form of an error of measuring.
fn in_eval(error: TrainError) -> longrope_eval::Error {
    match error {
        TrainError::Model(error) => error.into(),
        TrainError::Data(error) => error.into(),
        TrainError::Io(error) => error.into(),
        other => longrope_eval::Error::Io(std::io::Error::other(other)),
    }
}
