//! How a model is pretrained: the keys of `[pretrain]` in a configuration file.

use std::path::{Path, PathBuf};

use longrope_model::{LlamaShape, ModelConfig};
use longrope_trainer::run::SkippedPositions;
use longrope_trainer::{Decay, OptimizerConfig, Schedule};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::error::PretrainError;
use crate::error::Result;

/// Settings of a pretraining. Keys are in kebab case, every key has a default (but those of a phase), and unknown keys are
/// rejected.
///
/// The keys `source-crates`, `most-crate-bytes` and `held-out` say which text to read; they are for the caller to apply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// Sizes of the model, a LLaMA.
    pub model: LlamaShape,
    /// Keys of the `config.json` of a model of any family, to train instead of `model`. Missing keys have the defaults of
    /// the family.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Map<String, Value>>,
    /// Crates whose sources are the text, if no text is given; empty for all crates of the lock file.
    pub source_crates: Vec<String>,
    /// Most bytes to read of one crate.
    pub most_crate_bytes: usize,
    /// Files to measure on, if text is given. Otherwise sources of held-out crates are measured.
    pub held_out: Vec<PathBuf>,
    /// Loss weight of a token of a generated answer; other tokens have weight 1.
    pub answer_weight: f32,
    /// Share of generated documents that are filled with text instead of standard sentences.
    pub corpus_share: f64,
    /// Steps between two measurements.
    pub eval_every: usize,
    /// Steps between two saved states.
    pub save_every: usize,
    /// The phases, in order.
    pub phases: Vec<PretrainPhase>,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            model: LlamaShape::default(),
            config: None,
            source_crates: Vec::new(),
            most_crate_bytes: 256 << 10,
            held_out: Vec::new(),
            answer_weight: 8.0,
            corpus_share: 0.5,
            eval_every: 50,
            save_every: 100,
            phases: Vec::new(),
        }
    }
}

/// A stretch of training on one mixture of data, with one schedule. The optimizer starts afresh.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PretrainPhase {
    /// Name of the phase, part of its folder's name: letters, digits and hyphens.
    pub name: String,
    /// Optimizer steps.
    pub steps: usize,
    /// Windows that go through the model at once.
    pub batch: usize,
    /// Batches of a step.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Tokens of a window.
    pub window: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Steps in which the learning rate rises to its peak.
    #[serde(default)]
    pub warmup_steps: usize,
    /// Learning rate after the warmup.
    #[serde(default = "constant")]
    pub decay: Decay,
    /// Decoupled weight decay.
    #[serde(default)]
    pub weight_decay: f64,
    /// What the windows are made of.
    pub shares: Shares,
    /// Positions that skip ahead, so that the windows have the distances of longer texts; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkippedPositions>,
}

fn one() -> usize {
    1
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_one(n: &usize) -> bool {
    *n == 1
}

fn constant() -> Decay {
    Decay::Constant
}

/// Shares of the kinds of windows, relative to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct Shares {
    /// Text.
    pub text: f64,
    /// Random tokens, repeated.
    pub copying: f64,
    /// Passkey documents.
    pub passkey: f64,
    /// Documents of facts and questions about them.
    pub recall: f64,
}

impl PretrainPhase {
    pub(super) fn schedule(&self) -> Schedule {
        Schedule {
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            total_steps: self.steps,
            decay: self.decay,
        }
    }

    pub(super) fn optimizer(&self) -> OptimizerConfig {
        OptimizerConfig {
            weight_decay: self.weight_decay,
            ..OptimizerConfig::default()
        }
    }

    /// Checks schedule, optimizer and positions.
    fn check_settings(&self) -> longrope_trainer::Result<()> {
        self.schedule().validated()?;
        self.optimizer().validate()?;
        match &self.skipped {
            None => Ok(()),
            Some(skipped) => {
                let checked = skipped.validate(self.window);
                checked.map_err(|error| error.within("skipped"))
            }
        }
    }
}

impl PretrainConfig {
    /// The `config.json` of the model, without special tokens.
    pub(super) fn model_json(&self) -> Value {
        match &self.config {
            Some(keys) => Value::Object(keys.clone()),
            None => self.model.config_json(),
        }
    }

    /// The model.
    ///
    /// # Errors
    /// If no model has these sizes, or the decoder does not support it.
    pub fn model_config(&self) -> Result<ModelConfig> {
        Ok(ModelConfig::from_json(
            &self.model_json(),
            Path::new("pretrain.config"),
        )?)
    }

    /// Checks the model and the phases.
    ///
    /// # Errors
    /// [`PretrainError::NoPhases`], [`PretrainError::PhaseName`], [`PretrainError::SamePhaseName`],
    /// [`PretrainError::ZeroCount`], [`PretrainError::PhaseWindow`] or [`PretrainError::PhaseSetting`], and those of
    /// [`Self::model_config`].
    pub fn validate(&self) -> Result<()> {
        if self.phases.is_empty() {
            return Err(PretrainError::NoPhases.into());
        }
        let longest = self.model_config()?.max_context;
        for (number, phase) in (1..).zip(&self.phases) {
            let name = || phase.name.clone();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if phase.name.is_empty() || !phase.name.chars().all(is_plain) {
                let name = name();
                return Err(PretrainError::PhaseName { number, name }.into());
            }
            let mut earlier = (1..).zip(&self.phases[..number - 1]);
            if let Some((earlier, _)) = earlier.find(|(_, other)| other.name == phase.name) {
                let name = name();
                return Err(PretrainError::SamePhaseName {
                    number,
                    earlier,
                    name,
                }
                .into());
            }
            for (key, count) in [
                ("steps", phase.steps),
                ("batch", phase.batch),
                ("accumulate", phase.accumulate),
            ] {
                if count == 0 {
                    let name = name();
                    return Err(PretrainError::ZeroCount { number, name, key }.into());
                }
            }
            if phase.window > longest {
                return Err(PretrainError::PhaseWindow {
                    number,
                    name: name(),
                    found: phase.window,
                    longest,
                }
                .into());
            }
            phase
                .check_settings()
                .map_err(|source| PretrainError::PhaseSetting {
                    number,
                    name: name(),
                    source,
                })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    const PHASE: &str = r#"{ "phases": [{
        "name": "a", "steps": 3, "batch": 2, "window": 64, "learning-rate": 1e-3, "shares": { "text": 1.0 }
    }] }"#;

    fn config(json: &str) -> PretrainConfig {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_phase_needs_little() {
        let config = config(PHASE);
        config.validate().unwrap();
        let phase = &config.phases[0];
        assert_eq!(phase.schedule().decay, Decay::Constant);
        assert!(phase.shares.copying.abs() < f64::EPSILON);
    }

    #[test]
    fn phases_that_cannot_be_are_named() {
        for (from, to, expected) in [
            ("\"a\"", "\"../a\"", "letters, digits"),
            ("\"steps\": 3", "\"steps\": 0", "`steps` is 0"),
            (
                "\"batch\": 2",
                "\"batch\": 2, \"accumulate\": 0",
                "`accumulate` is 0, expected at least 1",
            ),
            (
                "\"window\": 64",
                "\"window\": 300",
                "at most the 256 tokens",
            ),
            ("1e-3", "0", "phase 1 of `pretrain.phases`, `a`"),
        ] {
            let error = config(&PHASE.replace(from, to)).validate().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(config("{}").validate().is_err());
    }

    #[test]
    fn two_phases_with_one_name_are_refused() {
        let mut config = config(PHASE);
        config
            .phases
            .extend([config.phases[0].clone(), config.phases[0].clone()]);
        config.phases[1].name = "b".to_owned();
        let error = config.validate().unwrap_err().to_string();
        assert!(error.starts_with("phases 1 and 3"), "{error}");
        assert!(error.contains("both named `a`"), "{error}");
        config.phases[2].name = "c".to_owned();
        config.validate().unwrap();
    }

    #[test]
    fn settings_of_a_phase_name_their_key_and_range() {
        for (keys, message) in [
            (
                "\"learning-rate\": 0",
                "`learning-rate` is 0, expected a finite number above 0",
            ),
            (
                "\"learning-rate\": 1, \"warmup-steps\": 4",
                "`warmup-steps` is 4, expected at most the 3 steps of the run",
            ),
            (
                "\"learning-rate\": 1, \"weight-decay\": -1",
                "`weight-decay` is -1, expected 0, or a number above 0",
            ),
            (
                "\"learning-rate\": 1, \"skipped\": { \"targets\": [64] }",
                "`skipped.targets` is 64, expected more tokens than a window has, 64",
            ),
        ] {
            let config = config(&PHASE.replace("\"learning-rate\": 1e-3", keys));
            let error = config.validate().unwrap_err();
            let Error::Pretrain(error) = error else {
                panic!("{error}");
            };
            let PretrainError::PhaseSetting { source, .. } = *error else {
                panic!("{error}");
            };
            assert!(source.to_string().contains(message), "{source}");
        }
    }
}
