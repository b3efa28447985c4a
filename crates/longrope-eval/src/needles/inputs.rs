//! What the tasks of `[needle]` have in common.

use longrope_data::Tokenizer;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use super::config::{NeedleConfig, NeedleKind};
use super::haystack::Haystack;
use crate::metric::Metric;
use crate::task::TaskInfo;

/// The inputs of a task of `[needle]`.
#[derive(Debug)]
pub(super) struct TaskInputs<'a> {
    pub(super) tokenizer: &'a Tokenizer,
    pub(super) haystack: &'a Haystack,
    pub(super) config: NeedleConfig,
    pub(super) context: usize,
    pub(super) seed: u64,
}

impl<'a> TaskInputs<'a> {
    pub(super) fn new(
        tokenizer: &'a Tokenizer,
        haystack: &'a Haystack,
        config: &NeedleConfig,
        context: usize,
        seed: u64,
    ) -> Self {
        Self {
            tokenizer,
            haystack,
            config: config.clone(),
            context,
            seed,
        }
    }

    /// The generator of a trial.
    pub(super) fn rng(&self, trial: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial as u64);
        rng
    }

    /// What the task of this kind says about itself: `own` settings, then those that all kinds have.
    pub(super) fn info<const N: usize>(
        &self,
        kind: NeedleKind,
        own: [(&str, Value); N],
        metrics: Vec<Metric>,
    ) -> TaskInfo {
        let shared = [
            ("trials", json!(self.config.trials)),
            ("haystack", json!(self.haystack.fingerprint())),
        ];
        let all = own.into_iter().chain(shared);
        TaskInfo {
            name: kind.task_name().to_owned(),
            version: 1,
            protocol: self.config.protocol.name().to_owned(),
            settings: all.map(|(name, value)| (name.to_owned(), value)).collect(),
            seed: self.seed,
            context: self.context,
            metrics,
        }
    }
}
