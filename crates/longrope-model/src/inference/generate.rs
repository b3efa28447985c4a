//! Generating text token by token.

use burn::tensor::{Int, Tensor, TensorData};
use longrope_rope::{ResolvedRope, RopeSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::finite::{bad_logit, logit_error};
use super::nll::chunks_of;
use super::sampling::Sampling;
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::modules::block::Chunk;

/// Number of prompt tokens that go through the layers at once.
const PREFILL_CHUNK: usize = 512;

/// Number of new tokens that a cache has room for at first. It grows when there are more, because a text often ends long
/// before the maximum.
pub const FIRST_CAPACITY: usize = 1024;

/// Which factor set is used to generate a sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FactorChoice {
    /// The factor set for the maximum length of the sequence, prompt and new tokens. It is fixed at the start, so
    /// nothing has to be recomputed. The default.
    #[default]
    Total,
    /// The factor set for the current length, as transformers does for Phi-3. When the sequence crosses the boundary
    /// between two sets, it is run again with the next set.
    Length,
}

/// Settings of [`Generation`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateOptions {
    /// Maximum number of new tokens per prompt.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Tokens that end a sequence; the stop token is part of the result.
    pub stop_tokens: Vec<u32>,
    /// Which factor set is used.
    pub factors: FactorChoice,
}

impl Decoder {
    /// Runs the tokens that follow those in the cache, adds them to it, and returns the logits of the next token.
    ///
    /// The result does not depend on how a sequence is split into calls, up to rounding.
    ///
    /// # Errors
    /// If there are no tokens, a token is outside the vocabulary, the cache is too small, or a logit is not finite.
    pub fn next_logits(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Vec<f32>> {
        self.check_vocabulary(tokens)?;
        cache.reserve(tokens.len())?;
        // Only the last row predicts an unknown token.
        let Some(n_others) = tokens.len().checked_sub(1) else {
            return Err(Error::EmptyPrompt);
        };
        let start = cache.n_tokens();
        let needed_from = start + n_others;
        let mut last = None;
        for chunk in chunks_of(start..start + tokens.len(), PREFILL_CHUNK) {
            let chunk = &tokens[chunk.start - start..chunk.end - start];
            last = self.extend_by(chunk, cache, needed_from)?;
        }
        let Some(last) = last else {
            return Err(Error::EmptyPrompt);
        };
        let [_, n, hidden_size] = last.hidden.dims(); // [1, n, hidden]
        let last = last.hidden.narrow(1, n - 1, 1).reshape([1, hidden_size]);
        let mut logits = self.logits_of_rows(last, &[cache.n_tokens()])?;
        Ok(logits.swap_remove(0))
    }

    /// Runs one chunk of the tokens that follow those in the cache, as [`Self::extend`] does.
    fn extend_by(
        &self,
        chunk: &[u32],
        cache: &mut KvCache,
        needed_from: usize,
    ) -> Result<Option<Chunk>> {
        let ids: Vec<i64> = chunk.iter().map(|id| i64::from(*id)).collect();
        let n = ids.len();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [n]), self.device());
        self.extend(ids, cache, needed_from)
    }

    /// Runs the token of each sequence that follows those in its cache, adds it to the cache, and returns the logits of
    /// the next token of each sequence. The weights are read once for all sequences.
    ///
    /// # Errors
    /// As for [`Self::next_logits`], of any sequence. No cache has changed, except after a logit that is not finite.
    ///
    /// # Panics
    /// If there are not as many tokens as caches, or positions are grouped (`SelfExtend`) in some caches and not, or
    /// otherwise, in others.
    pub fn next_logits_together(
        &self,
        tokens: &[u32],
        caches: &mut [&mut KvCache],
    ) -> Result<Vec<Vec<f32>>> {
        assert_eq!(tokens.len(), caches.len(), "one token per cache");
        if tokens.is_empty() {
            return Ok(Vec::new());
        }
        self.check_vocabulary(tokens)?;
        caches.iter().try_for_each(|cache| cache.reserve(1))?;
        let ids: Vec<i64> = tokens.iter().map(|id| i64::from(*id)).collect();
        let ids = TensorData::new(ids, [tokens.len()]);
        let ids = Tensor::<1, Int>::from_data(ids, self.device());
        let hidden = self.extend_together(ids, caches)?;
        let n_tokens: Vec<usize> = caches.iter().map(|cache| cache.n_tokens()).collect();
        self.logits_of_rows(hidden, &n_tokens)
    }

    /// The logits of each row, which comes after `n_tokens` tokens of its sequence.
    ///
    /// # Shapes
    /// - `hidden`: `[rows, hidden]`
    fn logits_of_rows(&self, hidden: Tensor<2>, n_tokens: &[usize]) -> Result<Vec<Vec<f32>>> {
        let logits = self.head().logits(hidden);
        let [_, vocab] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
        let rows = logits.chunks_exact(vocab).zip(n_tokens);
        rows.map(|(row, n_tokens)| match bad_logit(row) {
            None => Ok(row.to_vec()),
            Some(value) => Err(logit_error(*n_tokens, value)),
        })
        .collect()
    }
}

/// One sequence in progress.
#[derive(Debug)]
struct Sequence {
    tokens: Vec<u32>,
    n_prompt: usize,
    cache: KvCache,
    rng: ChaCha8Rng,
    done: bool,
}

/// Generates continuations for a batch of prompts; each call of [`Self::step`] adds one token per sequence.
///
/// Prompts may have different lengths. Each sequence has its own cache, factor set and random numbers. New tokens of all
/// sequences go through the layers together, so its logits depend on the number of sequences by rounding at most. On the
/// CPU, they do not if there are at most 16.
#[derive(Debug)]
pub struct Generation<'a> {
    decoder: &'a Decoder,
    spec: &'a RopeSpec,
    options: GenerateOptions,
    sequences: Vec<Sequence>,
}

impl<'a> Generation<'a> {
    /// Prepares to continue `prompts`. Sequence `i` draws its random numbers from stream `i` of `seed`.
    ///
    /// # Errors
    /// If a prompt is empty.
    pub fn new(
        decoder: &'a Decoder,
        spec: &'a RopeSpec,
        prompts: &[&[u32]],
        options: GenerateOptions,
        seed: u64,
    ) -> Result<Self> {
        let empty = |_: &[u32], rope: &ResolvedRope, capacity| decoder.kv_cache(capacity, rope);
        Self::in_caches(decoder, spec, prompts, options, seed, empty)
    }

    /// Like [`Self::new`], but gets caches from the caller: `cache` is called with a prompt, its RoPE and the number of
    /// tokens that must fit. The cache it returns may already contain the first tokens of the prompt, but not all of
    /// them. A cache that does not fit is replaced by an empty one.
    ///
    /// # Errors
    /// The same as [`Self::new`].
    pub fn in_caches(
        decoder: &'a Decoder,
        spec: &'a RopeSpec,
        prompts: &[&[u32]],
        options: GenerateOptions,
        seed: u64,
        mut cache: impl FnMut(&[u32], &ResolvedRope, usize) -> KvCache,
    ) -> Result<Self> {
        let mut sequences = Vec::with_capacity(prompts.len());
        for (stream, prompt) in prompts.iter().enumerate() {
            if prompt.is_empty() {
                return Err(Error::EmptyPrompt);
            }
            let total = prompt.len().saturating_add(options.max_new_tokens);
            let capacity = total.min(prompt.len().saturating_add(FIRST_CAPACITY));
            let n_tokens = match options.factors {
                FactorChoice::Total => total,
                FactorChoice::Length => prompt.len(),
            };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream as u64);
            let rope = spec.resolve(n_tokens);
            let given = cache(prompt, &rope, capacity);
            let fits = *given.rope() == rope
                && given.capacity() >= capacity
                && given.n_tokens() < prompt.len();
            sequences.push(Sequence {
                tokens: prompt.to_vec(),
                n_prompt: prompt.len(),
                cache: if fits {
                    given
                } else {
                    decoder.kv_cache(capacity, &rope)
                },
                rng,
                done: options.max_new_tokens == 0,
            });
        }
        Ok(Self {
            decoder,
            spec,
            options,
            sequences,
        })
    }

    /// The sequences (prompt and new tokens) and their caches, which contain all tokens except the last.
    pub fn into_caches(self) -> Vec<(Vec<u32>, KvCache)> {
        let sequences = self.sequences.into_iter();
        sequences
            .map(|sequence| (sequence.tokens, sequence.cache))
            .collect()
    }

    /// Reads a piece of a long prompt ahead of [`Self::step`]. Returns whether there was a piece to read; the last one or
    /// two of a prompt are left to the step. So a caller can stop within a prompt. Tokens are the same with it and without.
    ///
    /// # Errors
    /// If the decoder cannot run a sequence.
    pub fn read_ahead(&mut self) -> Result<bool> {
        self.prepare_caches();
        for sequence in self.sequences.iter_mut().filter(|it| !it.done) {
            let (cached, n_tokens) = (sequence.cache.n_tokens(), sequence.tokens.len());
            let Some(piece) = chunks_of(cached..n_tokens, PREFILL_CHUNK).next() else {
                continue;
            };
            // A single token that is left would go through the layers with those of other sequences.
            if piece.end + 1 >= n_tokens {
                continue;
            }
            self.decoder.check_vocabulary(&sequence.tokens[cached..])?;
            sequence.cache.reserve(n_tokens - cached)?;
            let tokens = &sequence.tokens[piece];
            self.decoder
                .extend_by(tokens, &mut sequence.cache, n_tokens - 1)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Gives every unfinished sequence a cache with room for its tokens, of the factor set that it needs.
    fn prepare_caches(&mut self) {
        for sequence in self.sequences.iter_mut().filter(|it| !it.done) {
            if self.options.factors == FactorChoice::Length {
                follow_length(self.decoder, self.spec, sequence);
            }
            make_room(sequence, self.options.max_new_tokens);
        }
    }

    /// Adds one token to every unfinished sequence. Returns the new token of each sequence (`None` for finished
    /// sequences), or `None` if all sequences are finished.
    ///
    /// # Errors
    /// If the decoder cannot run a sequence.
    pub fn step(&mut self) -> Result<Option<Vec<Option<u32>>>> {
        if self.sequences.iter().all(|sequence| sequence.done) {
            return Ok(None);
        }
        self.prepare_caches();
        let logits = self.next_logits()?;
        let mut added = Vec::with_capacity(self.sequences.len());
        for (sequence, logits) in self.sequences.iter_mut().zip(logits) {
            let token = logits.map(|logits| {
                let token = self.options.sampling.choose(&logits, &mut sequence.rng);
                sequence.tokens.push(token);
                sequence.done = self.options.stop_tokens.contains(&token)
                    || sequence.tokens.len() - sequence.n_prompt == self.options.max_new_tokens;
                token
            });
            added.push(token);
        }
        Ok(Some(added))
    }

    /// The logits of the next token of every unfinished sequence. Sequences with one new token are run together, those
    /// with more, such as a prompt, one by one.
    fn next_logits(&mut self) -> Result<Vec<Option<Vec<f32>>>> {
        let mut logits = Vec::with_capacity(self.sequences.len());
        let (mut rows, mut tokens, mut caches) = (Vec::new(), Vec::new(), Vec::new());
        for (row, sequence) in self.sequences.iter_mut().enumerate() {
            logits.push(None);
            if sequence.done {
                continue;
            }
            match sequence.tokens[sequence.cache.n_tokens()..] {
                [token] => {
                    rows.push(row);
                    tokens.push(token);
                    caches.push(&mut sequence.cache);
                }
                ref new => {
                    logits[row] = Some(self.decoder.next_logits(new, &mut sequence.cache)?);
                }
            }
        }
        let together = self.decoder.next_logits_together(&tokens, &mut caches)?;
        for (row, of_row) in rows.into_iter().zip(together) {
            logits[row] = Some(of_row);
        }
        Ok(logits)
    }

    /// The tokens generated so far, per sequence, without the prompts.
    pub fn new_tokens(&self) -> Vec<&[u32]> {
        self.sequences
            .iter()
            .map(|sequence| &sequence.tokens[sequence.n_prompt..])
            .collect()
    }
}

/// Doubles the cache of a sequence if it is full, up to the longest that the sequence may become.
fn make_room(sequence: &mut Sequence, max_new_tokens: usize) {
    let needed = sequence.tokens.len();
    if needed > sequence.cache.capacity() {
        let most = sequence.n_prompt.saturating_add(max_new_tokens);
        let doubled = sequence.cache.capacity().saturating_mul(2);
        sequence.cache.grow(doubled.clamp(needed, most.max(needed)));
    }
}

/// If a sequence has become too long for its factor set, gives it an empty cache with the next set.
fn follow_length(decoder: &Decoder, spec: &RopeSpec, sequence: &mut Sequence) {
    let needed: ResolvedRope = spec.resolve(sequence.tokens.len());
    if needed != *sequence.cache.rope() {
        tracing::debug!(
            n_tokens = sequence.tokens.len(),
            "sequence is too long for its factor set, running it again with the next one"
        );
        sequence.cache = decoder.kv_cache(sequence.cache.capacity(), &needed);
    }
}
