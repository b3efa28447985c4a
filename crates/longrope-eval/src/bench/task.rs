//! Runs a benchmark as a [`Task`].

use std::ops::Range;

use longrope_data::Tokenizer;
use longrope_model::GenerateOptions;
use longrope_rope::RopeSpec;
use serde_json::{Map, Value, json};

use super::error::BenchError;
use super::kind::Draw;
use super::prompts::Prompts;
use super::score::{score, score_generated};
use super::tokens::{AnswerTokens, encode};
use crate::choice;
use crate::error::{Error, Result};
use crate::language_model::LanguageModel;
use crate::report::Trial;
use crate::task::{Task, TaskInfo};

/// The seed that lm-evaluation-harness draws examples with.
pub const FEWSHOT_SEED: u32 = 1234;

/// Questions in one call. Between calls the caller can save and stop.
const QUESTIONS: usize = 16;

/// The name of the way in which answers are scored.
pub(crate) const PROTOCOL: &str = "lm-evaluation-harness";

/// A benchmark: one trial per question.
///
/// All choices of a question are scored under the RoPE of the longest one, so that they can be compared.
#[derive(Debug)]
pub struct BenchTask<'a> {
    prompts: Prompts,
    tokenizer: &'a Tokenizer,
    context: usize,
    seed: u32,
    /// Tokens that end a generated answer.
    stop_tokens: Vec<u32>,
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
            stop_tokens: Vec::new(),
        }
    }

    /// The same task, where these tokens end a generated answer.
    #[must_use]
    pub fn stopping_at(mut self, stop_tokens: &[u32]) -> Self {
        self.stop_tokens = stop_tokens.to_vec();
        self
    }

    /// The last tokens of a question that leave room for an answer of `n_new` tokens, and the number of tokens of the
    /// whole question.
    ///
    /// # Errors
    /// If the text cannot be tokenized, or there is no room.
    pub fn prompt(&self, index: usize, n_new: usize) -> Result<(Vec<u32>, usize)> {
        let whole = self.tokenizer.encode_prompt(&self.prompts.context(index))?;
        let n_tokens = whole.len();
        let room = self.context.saturating_sub(n_new);
        if room == 0 {
            return Err(Error::ContextTooShort {
                task: self.prompts.bench().name(),
                context: self.context,
                needed: n_new + 1,
            });
        }
        Ok((whole[n_tokens.saturating_sub(room)..].to_vec(), n_tokens))
    }

    /// Generated answers: one trial per question.
    fn generated(
        &self,
        trials: Range<usize>,
        n_new: usize,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        let options = GenerateOptions {
            max_new_tokens: n_new,
            stop_tokens: self.stop_tokens.clone(),
            ..GenerateOptions::default()
        };
        trials
            .map(|trial| {
                let (tokens, n_tokens) = self.prompt(trial, n_new)?;
                let answer = model.generate(&[&tokens], &options, rope)?.concat();
                let answer = self.tokenizer.decode(&answer)?;
                let question = &self.prompts.questions()[trial];
                let mut details = Map::new();
                details.insert("expected".to_owned(), json!(question.choices[0]));
                details.insert("answer".to_owned(), json!(answer));
                details.insert("n_prompt_tokens".to_owned(), json!(n_tokens));
                Ok(Trial {
                    trial,
                    scores: vec![score_generated(question, &answer)],
                    details,
                })
            })
            .collect()
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

/// Log-likelihoods of the answers to a question. The last token of the longest is predicted, but not read.
fn log_likelihoods(
    answers: &[AnswerTokens],
    model: &mut dyn LanguageModel,
    rope: &RopeSpec,
) -> Result<Vec<f64>> {
    let longest = answers.iter().map(|answer| answer.tokens.len()).max();
    let answers: Vec<choice::Answer> = answers
        .iter()
        .map(|answer| choice::Answer {
            tokens: &answer.tokens,
            from: answer.answer_from,
        })
        .collect();
    choice::log_likelihoods(&answers, model, &rope.resolve(longest.unwrap_or(1) - 1))
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
        // Version 0.1 kept a token that the tokenizer puts after a text.
        let whole = self.tokenizer.encode("a", true).ok();
        if whole != self.tokenizer.encode_prompt("a").ok() {
            settings.insert("end_of_text".to_owned(), json!("left out"));
        }
        TaskInfo {
            name: bench.name(),
            version: 1,
            protocol: PROTOCOL.to_owned(),
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

    /// With a limit for each subject, a number is that of another question than with another limit. Questions keep their
    /// order within a subject, so those of the same subjects, one after the other, are the same.
    fn is_own(&self, trial: &Trial) -> bool {
        let subject = trial.details.get("subject").and_then(Value::as_str);
        let question = self.prompts.questions().get(trial.trial);
        question.is_some_and(|question| question.subject.as_deref() == subject)
    }

    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>> {
        let bench = self.prompts.bench();
        if let Some(n_new) = bench.tokens_to_generate() {
            return self.generated(trials, n_new, model, rope);
        }
        let answers = trials.clone().map(|trial| Ok(self.answers(trial)?));
        let answers = answers.collect::<Result<Vec<_>>>()?;
        let found = answers
            .iter()
            .map(|answers| log_likelihoods(answers, model, rope))
            .collect::<Result<Vec<_>>>()?;
        let trial =
            |((trial, answers), log_likelihoods): ((usize, Vec<AnswerTokens>), Vec<f64>)| {
                let question = &self.prompts.questions()[trial];
                let (scores, choice) = score(bench, question, &log_likelihoods);
                let mut details = Map::new();
                if let Some(subject) = &question.subject {
                    details.insert("subject".to_owned(), Value::from(subject.as_str()));
                }
                details.insert("gold".to_owned(), json!(question.gold()));
                details.insert("choice".to_owned(), json!(choice));
                details.insert("log_likelihoods".to_owned(), json!(log_likelihoods));
                if bench.has_long_texts() {
                    let n_whole = answers.iter().map(|answer| answer.n_whole).max();
                    details.insert("n_prompt_tokens".to_owned(), json!(n_whole));
                }
                Trial {
                    trial,
                    scores,
                    details,
                }
            };
        Ok(trials.zip(answers).zip(found).map(trial).collect())
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::RopeScaling;

    use super::super::kind::Bench;
    use super::super::question::Question;
    use super::super::records::Record;
    use super::*;
    use crate::fixtures::{tokenizer, tokenizer_that_ends_texts};
    use crate::task::TaskRun;

    fn question(bench: Bench, row: Value) -> Question {
        let Value::Object(columns) = row else {
            panic!("a row is an object");
        };
        let place = "data.jsonl#1".to_owned();
        Question::new(bench, Record { place, columns }).unwrap()
    }

    /// A benchmark of the first `limit` questions of the subjects `a` and `b`.
    fn limited(tokenizer: &Tokenizer, limit: usize) -> BenchTask<'_> {
        let ask = |subject: &str| {
            let row = json!({"question": "What?", "subject": subject,
                "choices": ["w", "x", "y", "z"], "answer": 0});
            question(Bench::Mmlu, row)
        };
        let subjects = ["a", "b"].map(|subject| vec![ask(subject); limit]);
        let prompts = Prompts::new(Bench::Mmlu, subjects.concat(), Vec::new(), 0, 1);
        BenchTask::new(prompts.unwrap(), tokenizer, 256, 1)
    }

    #[test]
    fn trials_under_another_limit_are_of_other_questions() {
        let tokenizer = tokenizer();
        let spec = RopeSpec::new(64, 1e4, 256, RopeScaling::None {}).unwrap();
        let resumed = |limit: usize, subjects: &[&str]| {
            let task = limited(&tokenizer, limit);
            let trial = |(trial, subject): (usize, &&str)| {
                let mut details = Map::new();
                details.insert("subject".to_owned(), Value::from(*subject));
                Trial {
                    trial,
                    scores: vec![1.0],
                    details,
                }
            };
            let trials = subjects.iter().enumerate().map(trial).collect();
            let run = TaskRun::new(&task, "rope", &spec).with_trials(trials, 1.0);
            run.map(|run| run.progress())
        };
        assert_eq!(resumed(2, &["a", "a", "b"]).unwrap(), (3, 4));
        let more = resumed(3, &["a", "a", "b"]);
        assert!(matches!(more, Err(Error::StateQuestions { trial: 2, .. })));
        let less = resumed(1, &["a", "a", "b"]);
        assert!(matches!(less, Err(Error::StateQuestions { trial: 1, .. })));
        // So far, both limits have the same questions.
        assert_eq!(resumed(3, &["a", "a"]).unwrap(), (2, 6));
    }

    #[test]
    fn prompts_without_the_token_after_a_text_are_another_setting() {
        let setting = |tokenizer: &Tokenizer| {
            let settings = limited(tokenizer, 1).info().settings;
            settings.get("end_of_text").cloned()
        };
        assert_eq!(setting(&tokenizer()), None);
        let without = setting(&tokenizer_that_ends_texts());
        assert_eq!(without, Some(json!("left out")));
    }

    #[test]
    fn a_question_is_not_ended_before_its_answer() {
        let bench: Bench = "babilong-qa1".parse().unwrap();
        let row = json!({"input": "Mary went to the hallway.", "question": "Where is Mary?",
            "target": "hallway"});
        let questions = vec![question(bench, row)];
        let prompts = Prompts::new(bench, questions, Vec::new(), 2, 1).unwrap();
        let prompt = |tokenizer: &Tokenizer| {
            let task = BenchTask::new(prompts.clone(), tokenizer, 100_000, 1);
            task.prompt(0, 16).unwrap()
        };
        assert_eq!(prompt(&tokenizer_that_ends_texts()), prompt(&tokenizer()));
    }
}
