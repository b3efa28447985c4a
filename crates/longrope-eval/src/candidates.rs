//! Questions that are answered by a choice among candidates, and in the model's own words.

use longrope_data::Tokenizer;
use longrope_rope::RopeSpec;
use serde_json::{Map, Value, json};

use crate::choice::{Answer, argmax, log_likelihoods};
use crate::error::Result;
use crate::fit::{Fill, fit_filler};
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::question::{Protocol, Question, ask};
use crate::report::Trial;

/// A prompt with each of its candidates. The first is right.
#[derive(Debug)]
pub(crate) struct Candidates {
    questions: Vec<Question>,
}

impl Candidates {
    /// The right answer.
    #[cfg(test)]
    pub(crate) fn right(&self) -> &str {
        &self.questions[0].answer
    }

    /// The tokens of the prompt with every candidate.
    #[cfg(test)]
    pub(crate) fn sequences(&self) -> Vec<&[u32]> {
        self.questions
            .iter()
            .map(|it| it.tokens.as_slice())
            .collect()
    }
}

/// The metrics: whether the right candidate is the most likely one, and whether it is the model's own answer.
pub(crate) fn candidate_metrics() -> Vec<Metric> {
    vec![Metric::higher("choice"), Metric::higher("exact")]
}

/// Finds the filler with which the prompt and its longest candidate have exactly as many tokens as the context. `prompt`
/// makes the prompt with some filler.
///
/// # Errors
/// Those of [`fit_filler`], and if a text cannot be tokenized.
pub(crate) fn fit(
    (task, context, protocol): (&str, usize, Protocol),
    tokenizer: &Tokenizer,
    answers: &[String],
    prompt: impl Fn(Fill) -> String,
) -> Result<Candidates> {
    let questions = |fill| -> Result<Vec<Question>> {
        let prompt = prompt(fill);
        answers
            .iter()
            .map(|answer| Question::new(tokenizer, &prompt, answer))
            .collect()
    };
    let needs = |question: &Question| question.tokens.len().max(question.n_tokens(protocol));
    // The filler does not change how long an answer is, so only the longest is tried with every filler.
    let bare = questions(Fill::default())?;
    let longest = (0..bare.len())
        .max_by_key(|i| needs(&bare[*i]))
        .unwrap_or(0);
    let fill = fit_filler(task, context, |fill| {
        let question = Question::new(tokenizer, &prompt(fill), &answers[longest])?;
        Ok(needs(&question))
    })?;
    Ok(Candidates {
        questions: questions(fill)?,
    })
}

/// Runs a trial: scores of its question, one per metric, and what is reported about it, beside the `details` of the task.
///
/// The choice is the candidate with the largest log-likelihood, summed over its tokens. Every candidate occurs in the
/// text, so a model that only repeats names or numbers of the text is right by chance.
///
/// # Errors
/// If the model cannot run the question.
pub(crate) fn run_candidates(
    (trial, mut details): (usize, Map<String, Value>),
    candidates: &Candidates,
    protocol: Protocol,
    tokenizer: &Tokenizer,
    model: &mut dyn LanguageModel,
    rope: &RopeSpec,
) -> Result<Trial> {
    let questions = &candidates.questions;
    let answers: Vec<Answer> = questions
        .iter()
        .map(|question| (question.tokens.as_slice(), question.answer_from))
        .collect();
    let longest = answers.iter().map(|(tokens, _)| tokens.len()).max();
    let resolved = rope.resolve(longest.unwrap_or(1));
    let nats = log_likelihoods(&answers, model, &resolved)?;
    let chosen = argmax(&nats);
    let replies = ask(&questions[..1], protocol, tokenizer, model, rope)?;
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
