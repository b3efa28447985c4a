//! Needles without literal match: a fact answers a question with which it shares no word, only an association.
//!
//! The idea is NoLiMa's (arXiv 2502.05167): a model that only looks for the words of the question finds nothing. Facts,
//! questions and persons are this project's own.

use longrope_data::Tokenizer;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

use crate::association_pairs::{NAMES, PAIRS, Pair};
use crate::candidates::{Candidates, candidate_metrics, fit, run_candidates};
use crate::error::Result;
use crate::haystack::Haystack;
use crate::language_model::LanguageModel;
use crate::needle::{NeedleConfig, NeedleKind, check_fixed_texts, check_needles, task_info};
use crate::report::Trial;
use crate::settings::depths_setting;
use crate::task::{Task, TaskInfo};

const NAME: &str = NeedleKind::Association.task_name();

/// Facts about several persons in a haystack, and a question for one of them.
///
/// The persons of a text are the candidates. The fact that is asked for is at the depth of the trial, the others are
/// anywhere. Prompt and longest candidate together have exactly as many tokens as the context.
#[derive(Debug)]
pub struct Association<'a> {
    tokenizer: &'a Tokenizer,
    haystack: &'a Haystack,
    config: NeedleConfig,
    context: usize,
    seed: u64,
}

/// The facts of a trial. The first is asked for.
struct Drawn {
    facts: Vec<(f64, Pair, &'static str)>,
    /// Where in the haystack the text begins, from 0 to 1.
    start: f64,
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
        check_needles(NAME, config)?;
        check_fixed_texts(NAME, config)?;
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

    fn draw(&self, trial: usize) -> Drawn {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial as u64);
        let depth = self.config.depths[trial % self.config.depths.len()];
        let (mut pairs, mut names) = (PAIRS.to_vec(), NAMES.to_vec());
        let facts = (0..self.config.needles)
            .map(|i| {
                let pair = pairs.swap_remove(rng.random_range(0..pairs.len()));
                let name = names.swap_remove(rng.random_range(0..names.len()));
                let other = rng.random();
                (if i == 0 { depth } else { other }, pair, name)
            })
            .collect();
        Drawn {
            facts,
            start: rng.random(),
        }
    }

    fn candidates(&self, trial: usize) -> Result<Candidates> {
        let Drawn { facts, start } = self.draw(trial);
        let haystack = self.haystack.starting_at(start);
        let texts: Vec<String> = facts
            .iter()
            .map(|(_, pair, name)| pair.fact.replace("{name}", name))
            .collect();
        let depths = facts.iter().map(|(depth, ..)| *depth);
        let needles: Vec<(f64, &str)> = depths.zip(texts.iter().map(String::as_str)).collect();
        let answers: Vec<String> = facts.iter().map(|(.., name)| format!(" {name}")).collect();
        let question = facts[0].1.question;
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

impl Task for Association<'_> {
    fn info(&self) -> TaskInfo {
        let config = &self.config;
        let own = [
            ("candidates", json!(config.needles)),
            ("depths", depths_setting(&config.depths)),
        ];
        let at = (self.context, self.seed);
        task_info(NAME, config, self.haystack, at, own, candidate_metrics())
    }

    fn n_trials(&self) -> usize {
        self.config.trials * self.config.depths.len()
    }

    fn run(
        &self,
        trials: std::ops::Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &longrope_rope::RopeSpec,
    ) -> Result<Vec<Trial>> {
        trials
            .map(|trial| {
                let (depth, pair, _) = self.draw(trial).facts[0];
                let mut details = Map::new();
                details.insert("depth".to_owned(), json!(depth));
                details.insert("question".to_owned(), Value::from(pair.question));
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
#[path = "association_tests.rs"]
mod tests;
