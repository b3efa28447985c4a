//! Generating text, token by token.

use burn::tensor::{Int, Tensor, TensorData};
use longrope_rope::{ResolvedRope, RopeSpec};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::sampling::Sampling;

/// Tokens of a prompt that go through the layers at once.
const PREFILL_CHUNK: usize = 512;

/// Which factor set a sequence is generated under.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FactorChoice {
    /// That of the longest the sequence may become, prompt and new tokens: fixed at the start, so
    /// nothing ever has to be computed again. The default.
    #[default]
    Total,
    /// That of its length so far, as transformers does for Phi-3: where a border is crossed, the
    /// sequence is run again under the next set.
    Length,
}

/// How to generate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GenerateOptions {
    /// Most tokens to add to each prompt.
    pub max_new_tokens: usize,
    /// How each is chosen.
    pub sampling: Sampling,
    /// Tokens that end a sequence; the one that ended it is part of the result.
    pub stop_tokens: Vec<u32>,
    /// Which factor set is used.
    pub factors: FactorChoice,
}

impl Decoder {
    /// Runs tokens behind those in the cache and gives the logits of the token to follow.
    ///
    /// The result does not depend on how a sequence is cut into calls.
    ///
    /// # Errors
    /// If there are no tokens, one is outside the vocabulary, or the cache is full.
    pub fn next_logits(&self, tokens: &[u32], cache: &mut KvCache) -> Result<Vec<f32>> {
        self.check_vocabulary(tokens)?;
        cache.reserve(tokens.len())?;
        let mut last = None;
        for chunk in tokens.chunks(PREFILL_CHUNK) {
            let ids: Vec<i64> = chunk.iter().map(|id| i64::from(*id)).collect();
            let n = ids.len();
            let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [n]), self.device());
            let hidden = self.extend(ids, cache)?; // [1, n, hidden]
            let [_, _, hidden_size] = hidden.dims();
            last = Some(hidden.narrow(1, n - 1, 1).reshape([1, hidden_size]));
        }
        // Only the last row predicts a token that is not known yet.
        let Some(last) = last else {
            return Err(Error::EmptyPrompt);
        };
        let logits = last.matmul(self.output_weight().transpose());
        Ok(logits.into_data().iter::<f32>().collect())
    }
}

/// One sequence that is being generated.
#[derive(Debug)]
struct Sequence {
    tokens: Vec<u32>,
    n_prompt: usize,
    cache: KvCache,
    rng: ChaCha8Rng,
    done: bool,
}

/// Generation of a batch of prompts in progress; stepped by its caller.
///
/// Prompts may have different lengths. Each sequence has a cache, a factor set and random numbers
/// of its own, so what it becomes does not depend on the others.
#[derive(Debug)]
pub struct Generation<'a> {
    decoder: &'a Decoder,
    spec: &'a RopeSpec,
    options: GenerateOptions,
    sequences: Vec<Sequence>,
}

impl<'a> Generation<'a> {
    /// Prepares to continue `prompts`; sequence `i` draws from stream `i` of `seed`.
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

    /// As [`Self::new`], in caches of the caller's: `cache` is given a prompt, its RoPE and for how many tokens there must
    /// be room. What it returns may hold first tokens of the prompt, but not all of them; a cache that does not fit is
    /// replaced by an empty one.
    ///
    /// # Errors
    /// As [`Self::new`].
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
            let total = prompt.len() + options.max_new_tokens;
            let n_tokens = match options.factors {
                FactorChoice::Total => total,
                FactorChoice::Length => prompt.len(),
            };
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            rng.set_stream(stream as u64);
            let rope = spec.resolve(n_tokens);
            let given = cache(prompt, &rope, total);
            let fits = *given.rope() == rope
                && given.capacity() >= total
                && given.n_tokens() < prompt.len();
            sequences.push(Sequence {
                tokens: prompt.to_vec(),
                n_prompt: prompt.len(),
                cache: if fits {
                    given
                } else {
                    decoder.kv_cache(total, &rope)
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

    /// The sequences, prompts and what was generated, with their caches, which hold all tokens but the last.
    pub fn into_caches(self) -> Vec<(Vec<u32>, KvCache)> {
        let sequences = self.sequences.into_iter();
        sequences.map(|it| (it.tokens, it.cache)).collect()
    }

    /// Adds a token to every unfinished sequence; per sequence the token, if it got one. `None`
    /// when all are finished.
    ///
    /// # Errors
    /// If the decoder cannot run a sequence.
    pub fn step(&mut self) -> Result<Option<Vec<Option<u32>>>> {
        if self.sequences.iter().all(|sequence| sequence.done) {
            return Ok(None);
        }
        let mut added = Vec::with_capacity(self.sequences.len());
        for sequence in &mut self.sequences {
            if sequence.done {
                added.push(None);
                continue;
            }
            if self.options.factors == FactorChoice::Length {
                follow_length(self.decoder, self.spec, sequence);
            }
            let new = &sequence.tokens[sequence.cache.n_tokens()..];
            let logits = self.decoder.next_logits(new, &mut sequence.cache)?;
            let token = self.options.sampling.choose(&logits, &mut sequence.rng);
            sequence.tokens.push(token);
            sequence.done = self.options.stop_tokens.contains(&token)
                || sequence.tokens.len() - sequence.n_prompt == self.options.max_new_tokens;
            added.push(Some(token));
        }
        Ok(Some(added))
    }

    /// What has been generated so far, per sequence, prompts not included.
    pub fn new_tokens(&self) -> Vec<&[u32]> {
        self.sequences
            .iter()
            .map(|sequence| &sequence.tokens[sequence.n_prompt..])
            .collect()
    }
}

/// Gives a sequence that has outgrown its factor set an empty cache under the next one.
fn follow_length(decoder: &Decoder, spec: &RopeSpec, sequence: &mut Sequence) {
    let needed: ResolvedRope = spec.resolve(sequence.tokens.len());
    if needed != *sequence.cache.rope() {
        tracing::debug!(
            n_tokens = sequence.tokens.len(),
            "sequence outgrew its factor set, running it again"
        );
        sequence.cache = decoder.kv_cache(sequence.cache.capacity(), &needed);
    }
}
