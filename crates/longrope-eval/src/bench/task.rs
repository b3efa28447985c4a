//! Runs a benchmark as a [`Task`].

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_model::check_losses;
use longrope_rope::RopeSpec;
use serde_json::{Map, Value, json};

use super::error::BenchError;
use super::kind::Draw;
use super::prompts::Prompts;
use super::score::score;
use super::tokens::{AnswerTokens, encode};
use crate::error::{Error, Result};
use crate::language_model::LanguageModel;
use crate::report::Trial;
use crate::task::{Task, TaskInfo};

/// The seed that lm-evaluation-harness draws examples with.
pub const FEWSHOT_SEED: u32 = 1234;

/// Questions in one call. Between calls the caller can save and stop.
const QUESTIONS: usize = 16;

/// A benchmark: one trial per question.
///
/// All choices of a question are scored under the RoPE of the longest one, so that they can be compared.
#[derive(Debug)]
pub struct BenchTask<'a> {
    prompts: Prompts,
    tokenizer: &'a Tokenizer,
    context: usize,
    seed: u32,
}

impl<'a> BenchTask<'a> {
    /// Asks with at most `context` tokens; of longer questions, the last tokens are used. `seed` is the seed that the
    /// examples of `prompts` were drawn with.
    pub fn new(prompts: Prompts, tokenizer: &'a Tokenizer, context: usize, seed: u32) -> Self {
        Self {
            prompts,
            tokenizer,
            context,
            seed,
        }
    }

    /// The tokens of a question with each of its choices.
    ///
    /// # Errors
    /// If a text cannot be tokenized, or an answer has no tokens or more than the context.
    pub fn answers(&self, index: usize) -> std::result::Result<Vec<AnswerTokens>, BenchError> {
        let text = self.prompts.context(index);
        let choices = &self.prompts.questions()[index].choices;
        choices
            .iter()
            .enumerate()
            .map(|(choice, answer)| {
                let found = encode(self.tokenizer, &text, answer, self.context)?;
                let n_tokens = found.tokens.len().saturating_sub(found.answer_from);
                if found.answer_from == 0 || !(1..=self.context).contains(&n_tokens) {
                    return Err(BenchError::AnswerTokens {
                        question: index,
                        choice,
                        n_tokens,
                        context: self.context,
                    });
                }
                Ok(found)
            })
            .collect()
    }

    /// Log-likelihoods of every choice of every question of a range, in nats.
    ///
    /// # Errors
    /// As [`Self::answers`], and if the model cannot run them.
    pub fn log_likelihoods(
        &self,
        questions: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Vec<f64>>> {
        questions
            .map(|question| log_likelihoods(&self.answers(question)?, model, rope))
            .collect()
    }
}

/// Log-likelihoods of the answers to a question: negated sums of losses.
///
/// The answers are run together, since everything before them is the same. Tokens after an answer have no effect on it,
/// so short answers are padded at their ends.
fn log_likelihoods(
    answers: &[AnswerTokens],
    model: &mut dyn LanguageModel,
    rope: &RopeSpec,
) -> Result<Vec<f64>> {
    let longest = answers
        .iter()
        .map(|answer| answer.tokens.len())
        .max()
        .unwrap_or(1);
    let filled: Vec<Vec<u32>> = answers
        .iter()
        .map(|answer| {
            let mut tokens = answer.tokens.clone();
            tokens.resize(longest, tokens[0]);
            tokens
        })
        .collect();
    let sequences: Vec<&[u32]> = filled.iter().map(Vec::as_slice).collect();
    let score_from = answers
        .iter()
        .map(|answer| answer.answer_from)
        .min()
        .unwrap_or(1);
    // The last token is predicted, but not read.
    let losses = model.token_nll(&sequences, score_from, &rope.resolve(longest - 1))?;
    for (index, (answer, losses)) in answers.iter().zip(&losses).enumerate() {
        let read = losses[..answer.tokens.len() - score_from].to_vec();
        check_losses(&[read], score_from)
            .map_err(|source| Error::not_finite(format!("answer {index}"), source))?;
    }
    let sum = |(answer, losses): (&AnswerTokens, Vec<f32>)| {
        let AnswerTokens {
            tokens,
            answer_from,
        } = answer;
        let answer = &losses[answer_from - score_from..tokens.len() - score_from];
        let nats: f64 = answer.iter().map(|nll| f64::from(*nll)).sum();
        -nats
    };
    Ok(answers.iter().zip(losses).map(sum).collect())
}

impl Task for BenchTask<'_> {
    fn info(&self) -> TaskInfo {
        let bench = self.prompts.bench();
        let draw = match bench.draw() {
            _ if self.prompts.shots() == 0 => "none",
            Draw::First => "first",
            Draw::Random => "random",
            Draw::RandomWithoutQuestion => "random, one more",
        };
        let mut settings = Map::new();
        settings.insert("shots".to_owned(), json!(self.prompts.shots()));
        settings.insert("examples".to_owned(), json!(draw));
        TaskInfo {
            name: bench.name().to_owned(),
            version: 1,
            protocol: "lm-evaluation-harness".to_owned(),
            settings,
            seed: u64::from(self.seed),
            context: self.context,
            metrics: bench.metrics(),
        }
    }

    fn n_trials(&self) -> usize {
        self.prompts.questions().len()
    }

    fn batch_size(&self) -> usize {
        QUESTIONS
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        let found = self.log_likelihoods(trials.clone(), model, rope)?;
        let bench = self.prompts.bench();
        let trial = |(trial, log_likelihoods): (usize, Vec<f64>)| {
            let question = &self.prompts.questions()[trial];
            let (scores, choice) = score(bench, question, &log_likelihoods);
            let mut details = Map::new();
            if let Some(subject) = &question.subject {
                details.insert("subject".to_owned(), Value::from(subject.as_str()));
            }
            details.insert("gold".to_owned(), json!(question.gold()));
            details.insert("choice".to_owned(), json!(choice));
            details.insert("log_likelihoods".to_owned(), json!(log_likelihoods));
            Trial {
                trial,
                scores,
                details,
            }
        };
        Ok(trials.zip(found).map(trial).collect())
    }
}
