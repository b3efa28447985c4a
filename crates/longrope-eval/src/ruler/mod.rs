//! RULER (Hsieh et al. 2024, arXiv 2404.06654): thirteen synthetic tasks at chosen lengths.
//!
//! Prompts, metrics and averages are those of NVIDIA's generator; differences are documented with each task
//! and in the book. A sample depends only on seed, task, number and context.

mod data;
mod draw;
mod kind;
mod niah;
mod qa;
mod sample;
mod score;
mod trace;
mod vocabulary;
mod words;

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_model::GenerateOptions;
use longrope_rope::RopeSpec;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, json};

use crate::error::{Error, Result};
use crate::fit::{Room, check_all_fit, fit_units};
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::report::Trial;
use crate::task::{Task, TaskInfo};

use sample::Sample;

pub use data::{Essay, QaSet, RulerData};
pub use kind::RulerTask;
pub(crate) use score::tasks_at_all;
pub use score::{RulerAverages, string_match_all, string_match_part};

/// One task of RULER at one context.
///
/// Prompts are as long as possible, such that prompt and generated tokens fit into the context.
#[derive(Clone, Debug)]
pub struct Ruler<'a> {
    task: RulerTask,
    tokenizer: &'a Tokenizer,
    data: &'a RulerData,
    samples: usize,
    context: usize,
    seed: u64,
    stop_tokens: Vec<u32>,
    /// The name in results.
    name: String,
}

/// The trials of a task of RULER.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RulerTrials {
    /// Number of trials.
    pub samples: usize,
    /// Tokens of prompt and answer together, at most.
    pub context: usize,
    /// Seed of all random choices.
    pub seed: u64,
}

impl<'a> Ruler<'a> {
    /// Prepares the prompts; generation ends at `stop_tokens`.
    ///
    /// # Errors
    /// If there are no samples, the task lacks its data, or the text of a sample does not fit into the context.
    pub fn new(
        task: RulerTask,
        tokenizer: &'a Tokenizer,
        data: &'a RulerData,
        trials: RulerTrials,
        stop_tokens: &[u32],
    ) -> Result<Self> {
        let RulerTrials {
            samples,
            context,
            seed,
        } = trials;
        let name = format!("ruler/{task}");
        task.check_samples(samples)?;
        if let Some(what) = data.missing(task) {
            return Err(Error::MissingData { task: name, what });
        }
        let task = Self {
            task,
            tokenizer,
            data,
            samples,
            context,
            seed,
            stop_tokens: stop_tokens.to_vec(),
            name,
        };
        check_all_fit(&task.name, context, samples, |trial| {
            task.least_tokens(trial)
        })?;
        Ok(task)
    }

    /// The random generator of a trial.
    fn rng(&self, trial: usize) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(trial as u64);
        rng
    }

    /// A sample with a number of units: words of an essay, lines, list entries or documents.
    fn build(&self, trial: usize, example: &str, units: usize) -> Sample {
        let rng = &mut self.rng(trial);
        match self.task {
            RulerTask::Vt => trace::sample(example, units, rng),
            RulerTask::Cwe => words::common(self.data.essay.as_ref(), units, self.context, rng),
            RulerTask::Fwe => words::frequent(units, self.context, rng),
            RulerTask::Qa1 => qa::sample(self.data.squad.as_ref(), trial, units, rng),
            RulerTask::Qa2 => qa::sample(self.data.hotpotqa.as_ref(), trial, units, rng),
            niah => niah::sample(niah, self.data.essay.as_ref(), units, rng),
        }
    }

    fn least_units(&self, trial: usize) -> usize {
        match self.task {
            RulerTask::Vt => 1,
            RulerTask::Cwe => words::LEAST_COMMON,
            RulerTask::Fwe => words::LEAST_FREQUENT,
            RulerTask::Qa1 => qa::least_documents(self.data.squad.as_ref(), trial),
            RulerTask::Qa2 => qa::least_documents(self.data.hotpotqa.as_ref(), trial),
            niah => niah::least_units(niah),
        }
    }

    /// The solved example before a sample, if the task has one that does not depend on the length.
    fn example(&self, trial: usize) -> String {
        match self.task {
            RulerTask::Vt => trace::example(self.tokenizer, &self.rng(trial)),
            _ => String::new(),
        }
    }

    /// Tokens of the shortest sample and its answer.
    fn least_tokens(&self, trial: usize) -> Result<usize> {
        let shortest = self.build(trial, &self.example(trial), self.least_units(trial));
        let n_prompt = self.tokenizer.encode_prompt(&shortest.prompt)?.len();
        Ok(n_prompt + self.task.tokens_to_generate())
    }

    /// The longest sample that leaves room for the answer, and the tokens of its prompt.
    fn sample(&self, trial: usize) -> Result<(Sample, Vec<u32>)> {
        let n_new = self.task.tokens_to_generate();
        let room = Room {
            context: self.context,
            tokens: self.context.saturating_sub(n_new),
        };
        let most = match self.task {
            RulerTask::Qa1 => self.data.squad.as_ref().map(QaSet::n_documents),
            RulerTask::Qa2 => self.data.hotpotqa.as_ref().map(QaSet::n_documents),
            _ => None,
        };
        let example = self.example(trial);
        let build = |units| self.build(trial, &example, units);
        let tokens = |units| self.tokenizer.encode_prompt(&build(units).prompt);
        let units = fit_units(
            &self.name,
            room,
            self.least_units(trial)..most.unwrap_or(usize::MAX),
            |units| Ok(tokens(units)?.len()),
        )?;
        let sample = build(units);
        let tokens = self.tokenizer.encode_prompt(&sample.prompt)?;
        Ok((sample, tokens))
    }
}

impl Task for Ruler<'_> {
    fn info(&self) -> TaskInfo {
        let metric = match self.task {
            RulerTask::Qa1 | RulerTask::Qa2 => "string_match_part",
            _ => "string_match_all",
        };
        let mut settings = Map::new();
        settings.insert("samples".to_owned(), json!(self.samples));
        let tokens = self.task.tokens_to_generate();
        settings.insert("tokens_to_generate".to_owned(), json!(tokens));
        settings.insert("data".to_owned(), json!(self.data.fingerprint(self.task)));
        TaskInfo {
            name: self.name.clone(),
            version: self.task.version(),
            protocol: "generated, base template".to_owned(),
            settings,
            seed: self.seed,
            context: self.context,
            metrics: vec![Metric::higher(metric)],
        }
    }

    fn n_trials(&self) -> usize {
        self.samples
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        let options = GenerateOptions {
            max_new_tokens: self.task.tokens_to_generate(),
            stop_tokens: self.stop_tokens.clone(),
            ..GenerateOptions::default()
        };
        trials
            .map(|trial| {
                let (sample, tokens) = self.sample(trial)?;
                let generated = model.generate(&[&tokens], &options, rope)?.concat();
                let answer = self.tokenizer.decode(&generated)?;
                let score = match self.task {
                    RulerTask::Qa1 | RulerTask::Qa2 => string_match_part(&answer, &sample.answers),
                    _ => string_match_all(&answer, &sample.answers),
                };
                let mut details = Map::new();
                details.insert("expected".to_owned(), json!(sample.answers));
                details.insert("answer".to_owned(), json!(answer.trim()));
                details.insert("n_prompt_tokens".to_owned(), json!(tokens.len()));
                Ok(Trial {
                    trial,
                    scores: vec![score],
                    details,
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests;
