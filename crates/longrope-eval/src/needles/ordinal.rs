//! Several needles of one kind, asked for by their order.
//!
//! The idea is that of multi-round coreference resolution (MRCR, arXiv 2409.12640): the words of the question match all
//! needles equally, so a model has to keep them apart. The sentences are this project's own.

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_rope::RopeSpec;
use rand::RngExt;
use serde_json::{Map, Value, json};

use super::candidates::{Asked, candidate_metrics};
use super::config::{MOST_NEEDLES, NeedleConfig, NeedleKind, check_fixed_texts, check_needles};
use super::haystack::Haystack;
use super::inputs::TaskInputs;
use crate::error::Result;
use crate::language_model::LanguageModel;
use crate::report::Trial;
use crate::settings::invalid_setting;
use crate::task::{Task, TaskInfo};

const KIND: NeedleKind = NeedleKind::Ordinal;

/// Kinds of needles: the needle, with `{value}`, and the question, with `{ordinal}`.
const KINDS: [(&str, &str); 8] = [
    (
        "The harbour master wrote down the number {value}.",
        "The {ordinal} number that the harbour master wrote down is:",
    ),
    (
        "A parcel with the label {value} arrived at the mill.",
        "The {ordinal} parcel that arrived at the mill has the label:",
    ),
    (
        "The radio operator received the code {value}.",
        "The {ordinal} code that the radio operator received is:",
    ),
    (
        "The clerk sold a ticket with the number {value}.",
        "The {ordinal} ticket that the clerk sold has the number:",
    ),
    (
        "The astronomer gave a new star the name {value}.",
        "The {ordinal} new star has the name:",
    ),
    (
        "The bank opened an account with the number {value}.",
        "The {ordinal} account that the bank opened has the number:",
    ),
    (
        "The guard changed the combination of the safe to {value}.",
        "The {ordinal} combination of the safe is:",
    ),
    (
        "The museum entered a vase as item {value}.",
        "The {ordinal} vase of the museum is item:",
    ),
];

/// The order of needles in words.
const ORDINALS: [&str; MOST_NEEDLES] = [
    "first",
    "second",
    "third",
    "fourth",
    "fifth",
    "sixth",
    "seventh",
    "eighth",
    "ninth",
    "tenth",
    "eleventh",
    "twelfth",
    "thirteenth",
    "fourteenth",
    "fifteenth",
    "sixteenth",
];

/// Needles of one kind in a haystack, spread evenly, and a question for one of them by its order.
///
/// The values of a text are the candidates. Every needle is asked for equally often. Prompt and longest candidate
/// together have exactly as many tokens as the context.
#[derive(Debug)]
pub struct Ordinal<'a> {
    inputs: TaskInputs<'a>,
}

/// A trial: the kind, the values in the order of the text, and where in the haystack the text begins.
struct Drawn {
    kind: usize,
    values: Vec<u64>,
    start: f64,
}

/// Checks the settings of needles that are asked for by their order.
pub(super) fn check_config(config: &NeedleConfig) -> Result<()> {
    let name = KIND.task_name();
    check_needles(name, config)?;
    check_fixed_texts(name, config)?;
    if config.depths != NeedleConfig::default().depths {
        let found = json!(config.depths).to_string();
        let expected = "none: needles are spread evenly";
        return Err(invalid_setting(name, "depths", found, expected));
    }
    // Needles of a text have different values.
    if config.digits < 2 {
        let (found, expected) = (config.digits.to_string(), "a number from 2 to 18");
        return Err(invalid_setting(name, "digits", found, expected));
    }
    Ok(())
}

impl<'a> Ordinal<'a> {
    /// Prepares trials of `context` tokens with `config.needles` needles of `config.digits` digits.
    ///
    /// # Errors
    /// If a setting is out of range or has no effect, or the texts do not fit into the context.
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

    /// Index of the needle that a trial asks for.
    fn asked_needle(&self, trial: usize) -> usize {
        trial % self.inputs.config.needles
    }

    /// The middle of each of as many equal parts as there are needles.
    fn depth(&self, needle: usize) -> f64 {
        (needle as f64 + 0.5) / self.inputs.config.needles as f64
    }

    fn draw(&self, trial: usize) -> Drawn {
        let mut rng = self.inputs.rng(trial);
        let NeedleConfig {
            needles, digits, ..
        } = self.inputs.config;
        let kind = rng.random_range(0..KINDS.len());
        let lowest = 10_u64.pow(digits - 1);
        let mut values = Vec::with_capacity(needles);
        while values.len() < needles {
            let value = rng.random_range(lowest..lowest * 10);
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Drawn {
            kind,
            values,
            start: rng.random(),
        }
    }

    fn asked(&self, trial: usize) -> Asked {
        let Drawn {
            kind,
            values,
            start,
        } = self.draw(trial);
        let (needle, question) = KINDS[kind];
        let asked = self.asked_needle(trial);
        let needles = values.iter().enumerate().map(|(i, value)| {
            let text = needle.replace("{value}", &value.to_string());
            (self.depth(i), text)
        });
        let mut answers: Vec<String> = values.iter().map(|value| format!(" {value}")).collect();
        answers.swap(0, asked);
        Asked {
            needles: needles.collect(),
            start,
            question: question.replace("{ordinal}", ORDINALS[asked]),
            answers,
        }
    }
}

impl Task for Ordinal<'_> {
    fn info(&self) -> TaskInfo {
        let config = &self.inputs.config;
        let own = [
            ("candidates", json!(config.needles)),
            ("digits", json!(config.digits)),
        ];
        self.inputs.info(KIND, own, candidate_metrics())
    }

    fn n_trials(&self) -> usize {
        self.inputs.config.trials * self.inputs.config.needles
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        trials
            .map(|trial| {
                let asked = self.asked_needle(trial);
                let mut details = Map::new();
                details.insert("depth".to_owned(), json!(self.depth(asked)));
                details.insert("ordinal".to_owned(), Value::from(ORDINALS[asked]));
                let candidates = self.inputs.candidates(KIND, &self.asked(trial))?;
                self.inputs
                    .run_candidates(trial, &candidates, details, model, rope)
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "ordinal_tests.rs"]
mod tests;
