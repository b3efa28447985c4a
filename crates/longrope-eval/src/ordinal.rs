//! Several needles of one kind, asked for by their order.
//!
//! The idea is that of multi-round coreference resolution (MRCR, arXiv 2409.12640): the words of the question match all
//! needles equally, so a model has to keep them apart. The sentences are this project's own.

use longrope_data::Tokenizer;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::candidates::{Candidates, candidate_metrics, fit, run_candidates};
use crate::error::{Error, Result};
use crate::haystack::Haystack;
use crate::language_model::LanguageModel;
use crate::needle::{NeedleConfig, NeedleKind, check_fixed_texts, check_needles, task_info};
use crate::report::Trial;
use crate::task::{Task, TaskInfo};

const NAME: &str = NeedleKind::Ordinal.task_name();

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
const ORDINALS: [&str; 16] = [
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
    tokenizer: &'a Tokenizer,
    haystack: &'a Haystack,
    config: NeedleConfig,
    context: usize,
    seed: u64,
}

/// A trial: the kind, the values in the order of the text, and where in the haystack the text begins.
struct Drawn {
    kind: usize,
    values: Vec<u64>,
    start: f64,
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
        check_needles(NAME, config)?;
        check_fixed_texts(NAME, config)?;
        let refuse = |setting, found: String, expected| {
            Err(Error::InvalidSetting {
                task: NAME.to_owned(),
                setting,
                found,
                expected,
            })
        };
        if config.depths != NeedleConfig::default().depths {
            let found = json!(config.depths).to_string();
            return refuse("depths", found, "none: needles are spread evenly");
        }
        // Needles of a text have different values.
        if config.digits < 2 {
            return refuse("digits", config.digits.to_string(), "a number from 2 to 18");
        }
        let task = Self {
            tokenizer,
            haystack,
            config: config.clone(),
            context,
            seed,
        };
        task.candidates(0)?; // fails if the context is too short
        Ok(task)
    }

    /// Index of the needle that a trial asks for.
    fn asked(&self, trial: usize) -> usize {
        trial % self.config.needles
    }

    /// The middle of each of as many equal parts as there are needles.
    fn depth(&self, needle: usize) -> f64 {
        (needle as f64 + 0.5) / self.config.needles as f64
    }

    fn draw(&self, trial: usize) -> Drawn {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial as u64);
        let kind = rng.random_range(0..KINDS.len());
        let lowest = 10_u64.pow(self.config.digits - 1);
        let mut values = Vec::with_capacity(self.config.needles);
        while values.len() < self.config.needles {
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

    fn candidates(&self, trial: usize) -> Result<Candidates> {
        let Drawn {
            kind,
            values,
            start,
        } = self.draw(trial);
        let (needle, question) = KINDS[kind];
        let asked = self.asked(trial);
        let question = question.replace("{ordinal}", ORDINALS[asked]);
        let haystack = self.haystack.starting_at(start);
        let texts: Vec<String> = values
            .iter()
            .map(|value| needle.replace("{value}", &value.to_string()))
            .collect();
        let needles: Vec<(f64, &str)> = texts
            .iter()
            .enumerate()
            .map(|(i, text)| (self.depth(i), text.as_str()))
            .collect();
        let mut answers: Vec<String> = values.iter().map(|value| format!(" {value}")).collect();
        answers.swap(0, asked);
        fit(
            (NAME, self.context, self.config.protocol),
            self.tokenizer,
            &answers,
            |fill| {
                let text = haystack.with_needles(fill, &needles);
                format!("{text}\nQuestion: {question}\nAnswer:")
            },
        )
    }
}

impl Task for Ordinal<'_> {
    fn info(&self) -> TaskInfo {
        let config = &self.config;
        let own = [
            ("candidates", json!(config.needles)),
            ("digits", json!(config.digits)),
        ];
        let at = (self.context, self.seed);
        task_info(NAME, config, self.haystack, at, own, candidate_metrics())
    }

    fn n_trials(&self) -> usize {
        self.config.trials * self.config.needles
    }

    fn run(
        &self,
        trials: std::ops::Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &longrope_rope::RopeSpec,
    ) -> Result<Vec<Trial>> {
        trials
            .map(|trial| {
                let asked = self.asked(trial);
                let mut details = Map::new();
                details.insert("depth".to_owned(), json!(self.depth(asked)));
                details.insert("ordinal".to_owned(), Value::from(ORDINALS[asked]));
                run_candidates(
                    (trial, details),
                    &self.candidates(trial)?,
                    self.config.protocol,
                    self.tokenizer,
                    model,
                    rope,
                )
            })
            .collect()
    }
}

#[cfg(test)]
#[path = "ordinal_tests.rs"]
mod tests;
