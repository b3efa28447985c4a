//! What an evaluation asks of a model.

use longrope_model::{Decoder, Rotary, TokenBatch};
use longrope_rope::ResolvedRope;

use crate::error::Result;

/// Anything that can tell how surprising tokens are.
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
}
