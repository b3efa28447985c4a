//! Needles without literal match: a fact answers a question with which it shares no word, only an association.
//!
//! The idea is NoLiMa's (arXiv 2502.05167): a model that only looks for the words of the question finds nothing. Facts,
//! questions and persons are this project's own.

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_rope::RopeSpec;
use rand::RngExt;
use serde_json::{Map, Value, json};

use super::association_pairs::{NAMES, PAIRS, Pair};
use super::candidates::{Asked, candidate_metrics};
use super::config::{NeedleConfig, NeedleKind, check_fixed_texts, check_needles};
use super::haystack::Haystack;
use super::inputs::TaskInputs;
use crate::error::Result;
use crate::language_model::LanguageModel;
use crate::report::Trial;
use crate::settings::depths_setting;
use crate::task::{Task, TaskInfo};

const KIND: NeedleKind = NeedleKind::Association;

/// Facts about several persons in a haystack, and a question for one of them.
///
/// The persons of a text are the candidates. The fact that is asked for is at the depth of the trial, the others are
/// anywhere. Prompt and longest candidate together have exactly as many tokens as the context.
#[derive(Debug)]
pub struct Association<'a> {
    inputs: TaskInputs<'a>,
}

/// The facts of a trial. The first is asked for.
struct Drawn {
    facts: Vec<Fact>,
    /// Where in the haystack the text begins, from 0 to 1.
    start: f64,
}

/// A fact about a person, as it is hidden.
struct Fact {
    depth: f64,
    pair: Pair,
    name: &'static str,
}

impl Fact {
    fn text(&self) -> String {
        self.pair.fact.replace("{name}", self.name)
    }
}

/// Checks the settings of associations.
pub(super) fn check_config(config: &NeedleConfig) -> Result<()> {
    check_needles(KIND.task_name(), config)?;
    check_fixed_texts(KIND.task_name(), config)
}

impl<'a> Association<'a> {
    /// Prepares trials of `context` tokens with `config.needles` persons.
    ///
    /// # Errors
    /// If a setting is out of range, or the texts do not fit into the context.
    pub fn new(
        tokenizer: &'a Tokenizer,
        haystack: &'a Haystack,
        config: &NeedleConfig,
        context: usize,
        seed: u64,
    ) -> Result<Self> {
        check_config(config)?;
        let task = Self {
            inputs: TaskInputs::new(tokenizer, haystack, config, context, seed),
        };
        task.inputs
            .check_fit(KIND, task.n_trials(), |trial| task.asked(trial))?;
        Ok(task)
    }

    fn draw(&self, trial: usize) -> Drawn {
        let mut rng = self.inputs.rng(trial);
        let config = &self.inputs.config;
        let depth = config.depths[trial % config.depths.len()];
        let (mut pairs, mut names) = (PAIRS.to_vec(), NAMES.to_vec());
        let facts = (0..config.needles)
            .map(|i| {
                let pair = pairs.swap_remove(rng.random_range(0..pairs.len()));
                let name = names.swap_remove(rng.random_range(0..names.len()));
                let other = rng.random();
                let depth = if i == 0 { depth } else { other };
                Fact { depth, pair, name }
            })
            .collect();
        Drawn {
            facts,
            start: rng.random(),
        }
    }

    fn asked(&self, trial: usize) -> Asked {
        let Drawn { facts, start } = self.draw(trial);
        Asked {
            needles: facts.iter().map(|it| (it.depth, it.text())).collect(),
            start,
            question: facts[0].pair.question.to_owned(),
            answers: facts.iter().map(|it| format!(" {}", it.name)).collect(),
        }
    }
}

impl Task for Association<'_> {
    fn info(&self) -> TaskInfo {
        let config = &self.inputs.config;
        let own = [
            ("candidates", json!(config.needles)),
            ("depths", depths_setting(&config.depths)),
        ];
        self.inputs.info(KIND, own, candidate_metrics())
    }

    fn n_trials(&self) -> usize {
        self.inputs.config.trials * self.inputs.config.depths.len()
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        trials
            .map(|trial| {
                let asked = &self.draw(trial).facts[0];
                let mut details = Map::new();
                details.insert("depth".to_owned(), json!(asked.depth));
                details.insert("question".to_owned(), Value::from(asked.pair.question));
                let candidates = self.inputs.candidates(KIND, &self.asked(trial))?;
                self.inputs
                    .run_candidates(trial, &candidates, details, model, rope)
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "association_tests.rs"]
mod tests;
