//! What an evaluation asks of a model.

use longrope_model::{Decoder, GenerateOptions, Generation, Rotary, TokenBatch};
use longrope_rope::{ResolvedRope, RopeSpec};

use crate::error::Result;

/// Anything that can tell how surprising tokens are, and continue a text.
pub trait LanguageModel {
    /// Negative log-likelihood in nats of every token from `score_from` on, for sequences of equal
    /// length that are rotated by `rope`.
    ///
    /// # Errors
    /// If the model cannot score the sequences.
    fn token_nll(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        rope: &ResolvedRope,
    ) -> Result<Vec<Vec<f32>>>;

    /// The most likely token at every position from `score_from` on, given the tokens before it,
    /// for sequences of equal length that are rotated by `rope`.
    ///
    /// Greedy generation behind `sequence[..score_from]` gives `sequence[score_from..]` if and
    /// only if this does: the first token that differs would have been generated instead.
    ///
    /// # Errors
    /// If the model cannot run the sequences.
    fn greedy_tokens(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        rope: &ResolvedRope,
    ) -> Result<Vec<Vec<u32>>>;

    /// New tokens behind every prompt. The frequencies of a sequence are resolved from what it may
    /// become, prompt and new tokens.
    ///
    /// # Errors
    /// If the model cannot run a prompt.
    fn generate(
        &mut self,
        prompts: &[&[u32]],
        options: &GenerateOptions,
        rope: &RopeSpec,
    ) -> Result<Vec<Vec<u32>>>;
}

/// A [`Decoder`] with the angles it used last, which serve again while the RoPE stays the same.
#[derive(Debug)]
pub struct Scorer<'a> {
    decoder: &'a Decoder,
    angles: Option<(ResolvedRope, Rotary)>,
}

impl<'a> Scorer<'a> {
    /// Scores with this decoder.
    pub fn new(decoder: &'a Decoder) -> Self {
        Self {
            decoder,
            angles: None,
        }
    }

    fn rotary(&mut self, rope: &ResolvedRope, n_positions: usize) -> Rotary {
        if let Some((known, rotary)) = &self.angles
            && known == rope
            && rotary.n_positions() >= n_positions
        {
            return rotary.clone();
        }
        let rotary = Rotary::new(rope, n_positions, self.decoder.device());
        self.angles = Some((rope.clone(), rotary.clone()));
        rotary
    }
}

impl LanguageModel for Scorer<'_> {
    fn token_nll(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        rope: &ResolvedRope,
    ) -> Result<Vec<Vec<f32>>> {
        let n_positions = sequences.first().map_or(0, |sequence| sequence.len());
        let rotary = self.rotary(rope, n_positions);
        Ok(self.decoder.token_nll(
            TokenBatch {
                sequences,
                score_from,
            },
            &rotary,
        )?)
    }

    fn greedy_tokens(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        rope: &ResolvedRope,
    ) -> Result<Vec<Vec<u32>>> {
        let n_positions = sequences.first().map_or(0, |sequence| sequence.len());
        let rotary = self.rotary(rope, n_positions);
        Ok(self.decoder.greedy_tokens(
            TokenBatch {
                sequences,
                score_from,
            },
            &rotary,
        )?)
    }

    fn generate(
        &mut self,
        prompts: &[&[u32]],
        options: &GenerateOptions,
        rope: &RopeSpec,
    ) -> Result<Vec<Vec<u32>>> {
        // One sequence at a time: a cache is the largest thing a model has.
        prompts
            .iter()
            .map(|prompt| {
                let mut generation =
                    Generation::new(self.decoder, rope, &[prompt], options.clone(), 0)?;
                while generation.step()?.is_some() {}
                Ok(generation.new_tokens().concat())
            })
            .collect()
    }
}
