//! Losses of several answers to one question.

use longrope_model::check_losses;
use longrope_rope::ResolvedRope;

use crate::error::{Error, Result};
use crate::language_model::LanguageModel;

/// A question with one answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer<'a> {
    /// All tokens.
    pub(crate) tokens: &'a [u32],
    /// Index of the first token of the answer.
    pub(crate) from: usize,
}

/// Log-likelihoods of the answers to a question, nats: negated sums of losses.
///
/// The answers are run together, since everything before them is the same. Tokens after an answer have no effect on it,
/// so short answers are padded at their ends.
pub(crate) fn log_likelihoods(
    answers: &[Answer],
    model: &mut dyn LanguageModel,
    rope: &ResolvedRope,
) -> Result<Vec<f64>> {
    let longest = answers.iter().map(|answer| answer.tokens.len()).max();
    let filled: Vec<Vec<u32>> = answers
        .iter()
        .map(|Answer { tokens, .. }| {
            let mut filled = tokens.to_vec();
            filled.resize(longest.unwrap_or(1), tokens[0]);
            filled
        })
        .collect();
    let sequences: Vec<&[u32]> = filled.iter().map(Vec::as_slice).collect();
    let score_from = answers.iter().map(|answer| answer.from).min().unwrap_or(1);
    let losses = model.token_nll(&sequences, score_from, rope)?;
    for (index, (answer, losses)) in answers.iter().zip(&losses).enumerate() {
        let read = losses[..answer.tokens.len() - score_from].to_vec();
        check_losses(&[read], score_from)
            .map_err(|source| Error::not_finite(format!("answer {index}"), source))?;
    }
    let sum = |(answer, losses): (&Answer, Vec<f32>)| {
        let own = &losses[answer.from - score_from..answer.tokens.len() - score_from];
        let nats: f64 = own.iter().map(|nll| f64::from(*nll)).sum();
        -nats
    };
    Ok(answers.iter().zip(losses).map(sum).collect())
}

/// Index of the largest value, and of equal ones the first.
pub(crate) fn argmax(values: &[f64]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}
