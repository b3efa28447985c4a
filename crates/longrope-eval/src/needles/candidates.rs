//! Questions that are answered by a choice among candidates, and in the model's own words.

use longrope_rope::RopeSpec;
use serde_json::{Map, Value, json};

use super::config::NeedleKind;
use super::haystack::Haystack;
use super::inputs::TaskInputs;
use super::question::{AnsweredPrompt, ask};
use crate::choice::{Answer, argmax, log_likelihoods};
use crate::error::Result;
use crate::fit::{Fill, check_all_fit, fit_filler};
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::report::Trial;

/// What a trial hides in its text, and what it asks about it.
#[derive(Debug)]
pub(super) struct Asked {
    /// What is hidden, with its depth.
    pub(super) needles: Vec<(f64, String)>,
    /// Where in the haystack the text begins, from 0 to 1.
    pub(super) start: f64,
    pub(super) question: String,
    /// The candidates. The first is right.
    pub(super) answers: Vec<String>,
}

impl Asked {
    /// The prompt with any filler of a haystack.
    fn prompt(&self, haystack: &Haystack) -> impl Fn(Fill) -> String {
        let haystack = haystack.starting_at(self.start);
        let needles: Vec<(f64, &str)> = self
            .needles
            .iter()
            .map(|(depth, text)| (*depth, text.as_str()))
            .collect();
        move |fill| {
            let text = haystack.with_needles(fill, &needles);
            format!("{text}\nQuestion: {}\nAnswer:", self.question)
        }
    }
}

/// A prompt with each of its candidates. The first is right.
#[derive(Debug)]
pub(super) struct Candidates {
    questions: Vec<AnsweredPrompt>,
}

impl Candidates {
    /// The right answer.
    #[cfg(test)]
    pub(super) fn right(&self) -> &str {
        &self.questions[0].answer
    }

    /// The tokens of the prompt with every candidate.
    #[cfg(test)]
    pub(super) fn sequences(&self) -> Vec<&[u32]> {
        self.questions
            .iter()
            .map(|it| it.tokens.as_slice())
            .collect()
    }
}

/// The metrics: whether the right candidate is the most likely one, and whether it is the model's own answer.
pub(super) fn candidate_metrics() -> Vec<Metric> {
    vec![Metric::higher("choice"), Metric::higher("exact")]
}

impl TaskInputs<'_> {
    /// Checks that every trial fits into the context, and that some filler gives the first one exactly its length.
    ///
    /// # Errors
    /// If a trial does not fit, and those of [`TaskInputs::candidates`].
    pub(super) fn check_fit(
        &self,
        kind: NeedleKind,
        n_trials: usize,
        asked: impl Fn(usize) -> Asked,
    ) -> Result<()> {
        check_all_fit(kind.task_name(), self.context, n_trials, |trial| {
            self.least_tokens(&asked(trial))
        })?;
        self.candidates(kind, &asked(0))?;
        Ok(())
    }

    /// Finds the filler with which the prompt and its longest candidate have exactly as many tokens as the context.
    ///
    /// # Errors
    /// Those of [`fit_filler`], and if a text cannot be tokenized.
    pub(super) fn candidates(&self, kind: NeedleKind, asked: &Asked) -> Result<Candidates> {
        let (answers, prompt) = (&asked.answers, asked.prompt(self.haystack));
        // The filler does not change how long an answer is, so only the longest is tried with every filler.
        let bare = self.answered(answers, &prompt(Fill::default()))?;
        let longest = (0..bare.len())
            .max_by_key(|i| self.needs(&bare[*i]))
            .unwrap_or(0);
        let fill = fit_filler(kind.task_name(), self.context, |fill| {
            let question = AnsweredPrompt::new(self.tokenizer, &prompt(fill), &answers[longest])?;
            Ok(self.needs(&question))
        })?;
        Ok(Candidates {
            questions: self.answered(answers, &prompt(fill))?,
        })
    }

    /// Tokens of the context that the prompt without filler needs with its longest candidate.
    ///
    /// # Errors
    /// If a text cannot be tokenized.
    pub(super) fn least_tokens(&self, asked: &Asked) -> Result<usize> {
        let prompt = asked.prompt(self.haystack);
        let bare = self.answered(&asked.answers, &prompt(Fill::default()))?;
        Ok(bare.iter().map(|it| self.needs(it)).max().unwrap_or(0))
    }

    /// A prompt with each of its candidates.
    fn answered(&self, answers: &[String], prompt: &str) -> Result<Vec<AnsweredPrompt>> {
        answers
            .iter()
            .map(|answer| AnsweredPrompt::new(self.tokenizer, prompt, answer))
            .collect()
    }

    /// Tokens of the context that a question needs, to be scored and to be answered.
    fn needs(&self, question: &AnsweredPrompt) -> usize {
        let answered = question.n_tokens(self.config.protocol);
        question.tokens.len().max(answered)
    }

    /// Runs a trial: scores of its question, one per metric, and what is reported about it, beside the `details` of the
    /// task.
    ///
    /// The choice is the candidate with the largest log-likelihood, summed over its tokens. Every candidate occurs in
    /// the text, so a model that only repeats names or numbers of the text is right by chance.
    ///
    /// # Errors
    /// If the model cannot run the question.
    pub(super) fn run_candidates(
        &self,
        trial: usize,
        candidates: &Candidates,
        mut details: Map<String, Value>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Trial> {
        let questions = &candidates.questions;
        let answers: Vec<Answer> = questions
            .iter()
            .map(|question| Answer {
                tokens: &question.tokens,
                from: question.answer_from,
            })
            .collect();
        let longest = answers.iter().map(|answer| answer.tokens.len()).max();
        let resolved = rope.resolve(longest.unwrap_or(1));
        let nats = log_likelihoods(&answers, model, &resolved)?;
        let chosen = argmax(&nats);
        let protocol = self.config.protocol;
        let replies = ask(&questions[..1], protocol, self.tokenizer, model, rope)?;
        let is_right = replies.iter().any(|reply| reply.is_right);
        let texts: Vec<&str> = questions.iter().map(|it| it.answer.as_str()).collect();
        details.insert("expected".to_owned(), json!(texts[0]));
        details.insert("choice".to_owned(), json!(texts[chosen]));
        let own = replies.first().map(|reply| reply.text.as_str());
        details.insert("answer".to_owned(), json!(own));
        details.insert("candidates".to_owned(), json!(texts));
        details.insert("log_likelihoods".to_owned(), json!(nats));
        let hit = |right: bool| f64::from(u8::from(right));
        Ok(Trial {
            trial,
            scores: vec![hit(chosen == 0), hit(is_right)],
            details,
        })
    }
}
