//! The interface between evaluations and models.

use longrope_model::{Decoder, GenerateOptions, Generation, KvCache, Rotary, TokenBatch};
use longrope_rope::{ResolvedRope, RopeSpec};

use crate::error::Result;
use crate::prefix::Prefix;

/// A model that scores tokens and continues texts.
pub trait LanguageModel {
    /// Negative log-likelihood in nats of every token from `score_from` on, for sequences of equal
    /// length under `rope`.
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
    /// for sequences of equal length under `rope`.
    ///
    /// Greedy generation after `sequence[..score_from]` gives `sequence[score_from..]` if and
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

    /// New tokens after every prompt. The frequencies of a sequence are resolved from the length it may
    /// reach, with prompt and new tokens.
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

/// A [`Decoder`] as a [`LanguageModel`], with two caches.
///
/// The angles of the last RoPE are reused while the RoPE stays the same. The keys and values of the last sequence are
/// reused for the tokens that the next sequence begins with as well; this changes losses only by rounding.
#[derive(Debug)]
pub struct Scorer<'a> {
    decoder: &'a Decoder,
    angles: Option<(ResolvedRope, Rotary)>,
    prefix: Prefix,
}

impl<'a> Scorer<'a> {
    /// Scores with this decoder.
    pub fn new(decoder: &'a Decoder) -> Self {
        Self {
            decoder,
            angles: None,
            prefix: Prefix::default(),
        }
    }

    /// Runs sequences one after the other, each after the beginning it shares with the previous one. `None` if that
    /// would not save time.
    fn behind_prefix<T>(
        &mut self,
        sequences: &[&[u32]],
        score_from: usize,
        rope: &ResolvedRope,
        run: impl Fn(&Decoder, &[u32], &mut KvCache) -> longrope_model::Result<Vec<T>>,
    ) -> Result<Option<Vec<Vec<T>>>> {
        let decoder = self.decoder;
        if score_from == 0
            || !self
                .prefix
                .is_worth_it(decoder, sequences, score_from, rope)
        {
            return Ok(None);
        }
        let capacity = sequences
            .iter()
            .map(|tokens| tokens.len())
            .max()
            .unwrap_or(0);
        let mut scored = Vec::with_capacity(sequences.len());
        for sequence in sequences {
            let mut cache = self
                .prefix
                .take(decoder, sequence, score_from, rope, capacity);
            scored.push(run(decoder, sequence, &mut cache)?);
            self.prefix.put(decoder, sequence, cache);
        }
        Ok(Some(scored))
    }

    fn rotary(&mut self, rope: &ResolvedRope, n_positions: usize) -> Rotary {
        if let Some((known, rotary)) = &self.angles
            && known == rope
            && rotary.n_positions() >= n_positions
        {
            return rotary.clone();
        }
        let rotary = self.decoder.rotary(rope, n_positions);
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
        let run = |decoder: &Decoder, tokens: &[u32], cache: &mut KvCache| {
            decoder.token_nll_cached(tokens, score_from, cache)
        };
        // A single sequence is a window of text, and the next one will not begin alike.
        if sequences.len() > 1
            && let Some(scored) = self.behind_prefix(sequences, score_from, rope, run)?
        {
            return Ok(scored);
        }
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
        let run = |decoder: &Decoder, tokens: &[u32], cache: &mut KvCache| {
            decoder.greedy_tokens_cached(tokens, score_from, cache)
        };
        if let Some(scored) = self.behind_prefix(sequences, score_from, rope, run)? {
            return Ok(scored);
        }
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
        // One sequence at a time, since the cache takes the most memory.
        prompts
            .iter()
            .map(|prompt| {
                let (decoder, prefix) = (self.decoder, &mut self.prefix);
                let cache = |prompt: &[u32], rope: &ResolvedRope, capacity| {
                    prefix.take(decoder, prompt, prompt.len(), rope, capacity)
                };
                let mut generation =
                    Generation::in_caches(decoder, rope, &[prompt], options.clone(), 0, cache)?;
                while generation.step()?.is_some() {}
                let new_tokens = generation.new_tokens().concat();
                for (tokens, cache) in generation.into_caches() {
                    self.prefix.put(decoder, &tokens, cache);
                }
                Ok(new_tokens)
            })
            .collect()
    }
}
