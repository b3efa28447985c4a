//! `[pretrain]`: a model from nothing.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use longrope_model::LlamaShape;
use longrope_trainer::{Decay, Schedule};
use serde::{Deserialize, Serialize};

use crate::hint::Hint;

/// `[pretrain]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct PretrainSection {
    /// Sizes of the model.
    pub(crate) model: LlamaShape,
    /// Crates whose sources are the text, unless `text` names some; all of the lock file if empty.
    pub(crate) source_crates: Vec<String>,
    /// Bytes of one crate.
    pub(crate) most_crate_bytes: usize,
    /// Text to measure with; held-out crates unless `text` is given.
    pub(crate) held_out: Vec<PathBuf>,
    /// How much a token of an answer counts.
    pub(crate) answer_weight: f32,
    /// Share of generated documents that are filled with text instead of standard sentences.
    pub(crate) corpus_share: f64,
    /// Steps between measurements.
    pub(crate) eval_every: usize,
    /// Steps between saved states.
    pub(crate) save_every: usize,
    /// The phases, in order.
    pub(crate) phases: Vec<Phase>,
}

impl Default for PretrainSection {
    fn default() -> Self {
        Self {
            model: LlamaShape::default(),
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

/// A stretch of training with one kind of data and one schedule. The optimizer begins anew.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) struct Phase {
    /// Its name, part of a folder's.
    pub(crate) name: String,
    /// Optimizer steps.
    pub(crate) steps: usize,
    /// Windows of a step.
    pub(crate) batch: usize,
    /// Tokens of a window.
    pub(crate) window: usize,
    /// Highest learning rate.
    pub(crate) learning_rate: f64,
    /// Steps that rise to it.
    #[serde(default)]
    pub(crate) warmup_steps: usize,
    /// What follows.
    #[serde(default = "constant")]
    pub(crate) decay: Decay,
    /// Decoupled weight decay.
    #[serde(default)]
    pub(crate) weight_decay: f64,
    /// What the windows are of.
    pub(crate) shares: Shares,
}

fn constant() -> Decay {
    Decay::Constant
}

/// Shares of windows, relative to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Shares {
    /// Text.
    pub(crate) text: f64,
    /// Random tokens, repeated.
    pub(crate) copying: f64,
    /// The passkey test.
    pub(crate) passkey: f64,
    /// Facts and questions.
    pub(crate) recall: f64,
}

impl Phase {
    pub(crate) fn schedule(&self) -> Schedule {
        Schedule {
            learning_rate: self.learning_rate,
            warmup_steps: self.warmup_steps,
            total_steps: self.steps,
            decay: self.decay,
        }
    }
}

impl PretrainSection {
    /// Checks what no other part of the program checks.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.phases.is_empty() {
            return Err(
                anyhow!("`pretrain.phases` is empty: there is nothing to do").context(Hint(
                    "start from configs/pretrain-tiny.toml with --config".to_owned(),
                )),
            );
        }
        for (number, phase) in (1..).zip(&self.phases) {
            let bad = |problem: String| {
                anyhow!(
                    "phase {number} of `pretrain.phases`, `{}`: {problem}",
                    phase.name
                )
            };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
            if phase.name.is_empty() || !phase.name.chars().all(is_plain) {
                return Err(bad(
                    "expected letters, digits and hyphens as its name".into()
                ));
            }
            for (key, count) in [("steps", phase.steps), ("batch", phase.batch)] {
                if count == 0 {
                    return Err(bad(format!("`{key}` is 0, expected at least 1")));
                }
            }
            if phase.window > self.model.window {
                return Err(bad(format!(
                    "`window` is {}, expected at most the {} tokens of the model's window",
                    phase.window, self.model.window
                )));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(phases: &str) -> PretrainSection {
        toml::from_str(phases).unwrap()
    }

    const PHASE: &str = "[[phases]]\nname = \"a\"\nsteps = 3\nbatch = 2\nwindow = 64\n\
        learning-rate = 1e-3\nshares = { text = 1.0 }\n";

    #[test]
    fn a_phase_needs_little() {
        let section = section(PHASE);
        section.validate().unwrap();
        let phase = &section.phases[0];
        assert_eq!(phase.schedule().decay, Decay::Constant);
        assert!(phase.shares.copying.abs() < f64::EPSILON);
    }

    #[test]
    fn phases_that_cannot_be_are_named() {
        for (from, to, expected) in [
            ("\"a\"", "\"../a\"", "letters, digits"),
            ("steps = 3", "steps = 0", "`steps` is 0"),
            ("window = 64", "window = 300", "at most the 256 tokens"),
        ] {
            let error = section(&PHASE.replace(from, to)).validate().unwrap_err();
            assert!(error.to_string().contains(expected), "{error}");
        }
        assert!(section("").validate().is_err());
    }
}
