//! Scoring sequences: the loss of every token, and the most likely token at every position.

use std::ops::Range;

use burn::tensor::{DType, Int, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::finite::{bad_logit, logit_error};
use super::sampling::Sampling;
use crate::decoder::Decoder;
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::modules::head::Head;
use crate::rotary::Rotary;

/// Number of rows (sequences × positions) that go through a layer at once.
///
/// Large enough for fast matrix products, and small enough that the memory of a chunk's intermediate results does not
/// matter.
pub(crate) const CHUNK_ROWS: usize = 2048;

/// Number of rows whose logits are in memory at once: a few megabytes for large vocabularies.
const LOGIT_ROWS: usize = 32;

/// The stretches of `positions` between multiples of `n_rows`. So a sequence is divided alike, wherever its new tokens begin.
pub(crate) fn chunks_of(
    positions: Range<usize>,
    n_rows: usize,
) -> impl Iterator<Item = Range<usize>> {
    let Range { start, end } = positions;
    let first = start / n_rows * n_rows;
    let stretch = move |from: usize| from.max(start)..end.min(from + n_rows);
    (first..end).step_by(n_rows).map(stretch)
}

/// Sequences of equal length to score together.
#[derive(Clone, Copy, Debug)]
pub struct TokenBatch<'a> {
    /// The token ids of each sequence.
    pub sequences: &'a [&'a [u32]],
    /// Position of the first scored token; at least 1, since the first token is not predicted.
    pub score_from: usize,
}

impl Decoder {
    /// Negative log-likelihood in nats of every token from position `score_from` on, per sequence.
    ///
    /// `nll[t] = -ln p(token[t] | token[..t])`, NaN or infinite if the model computes such numbers; see
    /// [`check_losses`](crate::check_losses). `rotary` must cover the whole sequence. Memory is linear in the length
    /// of the sequence.
    ///
    /// # Errors
    /// If the sequences differ in length, contain ids outside the vocabulary, or have no token to score.
    ///
    /// # Panics
    /// If `rotary` has fewer positions than the sequences.
    pub fn token_nll(&self, batch: TokenBatch, rotary: &Rotary) -> Result<Vec<Vec<f32>>> {
        let head = self.head();
        self.score(batch, rotary, |hidden, targets| {
            nll_of_rows(hidden, &head, targets)
        })
    }

    /// The most likely token at every position from `score_from` on, per sequence: `argmax p(· | token[..t])` for
    /// position `t`. Of equally likely tokens, the one with the lowest id.
    ///
    /// # Errors
    /// The same as [`Self::token_nll`], and [`Error::NotFinite`] if a logit is NaN or infinite.
    ///
    /// # Panics
    /// The same as [`Self::token_nll`].
    pub fn greedy_tokens(&self, batch: TokenBatch, rotary: &Rotary) -> Result<Vec<Vec<u32>>> {
        let head = self.head();
        let likeliest = self.score(batch, rotary, |hidden, _| likeliest_of_rows(&hidden, &head))?;
        let from = batch.score_from;
        likeliest.into_iter().map(|row| finite(row, from)).collect()
    }

    /// Like [`Self::token_nll`], for one sequence whose first tokens (fewer than `score_from`) are already in a cache.
    /// Adds the other tokens to the cache, except the last one, which predicts no token of the sequence.
    ///
    /// # Errors
    /// The same as [`Self::token_nll`], and if the cache is too small or contains `score_from` or more tokens.
    pub fn token_nll_cached(
        &self,
        tokens: &[u32],
        score_from: usize,
        cache: &mut KvCache,
    ) -> Result<Vec<f32>> {
        let head = self.head();
        self.score_cached(tokens, score_from, cache, |hidden, targets| {
            nll_of_rows(hidden, &head, targets)
        })
    }

    /// Like [`Self::greedy_tokens`], with a cache as in [`Self::token_nll_cached`].
    ///
    /// # Errors
    /// The same as [`Self::token_nll_cached`], and [`Error::NotFinite`] if a logit is NaN or infinite.
    pub fn greedy_tokens_cached(
        &self,
        tokens: &[u32],
        score_from: usize,
        cache: &mut KvCache,
    ) -> Result<Vec<u32>> {
        let head = self.head();
        let likeliest = self.score_cached(tokens, score_from, cache, |hidden, _| {
            likeliest_of_rows(&hidden, &head)
        })?;
        finite(likeliest, score_from)
    }

    fn score_cached<T>(
        &self,
        tokens: &[u32],
        score_from: usize,
        cache: &mut KvCache,
        mut each: impl FnMut(Tensor<2>, Tensor<1, Int>) -> Vec<T>,
    ) -> Result<Vec<T>> {
        let sequences = [tokens];
        self.check(TokenBatch {
            sequences: &sequences,
            score_from,
        })?;
        let (start, end) = (cache.n_tokens(), tokens.len() - 1);
        if start >= score_from {
            return Err(Error::NothingToScore {
                found: start,
                score_from,
            });
        }
        cache.reserve(end - start)?;
        let needed_from = score_from - 1; // the row that predicts the first scored token
        let ids: Vec<i64> = tokens[start..].iter().map(|id| i64::from(*id)).collect();
        let n = ids.len();
        let ids = Tensor::<1, Int>::from_data(TensorData::new(ids, [n]), self.device());
        let mut scored = Vec::with_capacity(tokens.len() - score_from);
        for chunk in chunks_of(start..end, CHUNK_ROWS) {
            let chunk = ids.clone().narrow(0, chunk.start - start, chunk.len());
            let Some(chunk) = self.extend(chunk, cache, needed_from)? else {
                continue;
            };
            let positions = chunk.positions();
            let first = positions.start.max(needed_from);
            let rows = positions.end - first;
            let [_, _, hidden_size] = chunk.hidden.dims();
            let hidden = chunk
                .hidden
                .narrow(1, first - positions.start, rows)
                .reshape([rows, hidden_size]);
            let targets = ids.clone().narrow(0, first + 1 - start, rows);
            scored.extend(each(hidden, targets));
        }
        Ok(scored)
    }

    /// Calls `each` with the rows that predict scored tokens, `[rows, hidden_size]`, and the tokens they predict,
    /// `[rows]`. Returns the values that it computes for the rows, per sequence.
    fn score<T: Clone>(
        &self,
        batch: TokenBatch,
        rotary: &Rotary,
        mut each: impl FnMut(Tensor<2>, Tensor<1, Int>) -> Vec<T>,
    ) -> Result<Vec<Vec<T>>> {
        let Some(seq) = self.check(batch)? else {
            return Ok(Vec::new());
        };
        assert!(seq <= rotary.n_positions(), "angles for {seq} positions");
        let TokenBatch {
            sequences,
            score_from,
        } = batch;
        let n = sequences.len();
        let needed_from = score_from - 1; // the row that predicts the first scored token

        let ids = sequences
            .iter()
            .flat_map(|s| s.iter().map(|id| i64::from(*id)));
        let ids = TensorData::new(ids.collect::<Vec<i64>>(), [n, seq]);
        let tokens = Tensor::<2, Int>::from_data(ids, self.device());
        let chunks = self.hidden_states(&tokens, rotary, needed_from, CHUNK_ROWS)?;

        let mut scored = vec![Vec::with_capacity(seq - score_from); n];
        for chunk in chunks {
            let positions = chunk.positions();
            let first = positions.start.max(needed_from);
            let last = positions.end.min(seq - 1); // the last row predicts no token of the sequence
            if first >= last {
                continue;
            }
            let rows = last - first;
            let [_, _, hidden_size] = chunk.hidden.dims();
            let hidden = chunk
                .hidden
                .narrow(1, first - positions.start, rows)
                .reshape([n * rows, hidden_size]);
            let targets = tokens
                .clone()
                .narrow(1, first + 1, rows)
                .reshape([n * rows]);
            let values = each(hidden, targets);
            for (sequence, values) in scored.iter_mut().zip(values.chunks(rows)) {
                sequence.extend_from_slice(values);
            }
        }
        Ok(scored)
    }

    /// Checks the batch and returns the length of its sequences, or `None` if there are none.
    fn check(&self, batch: TokenBatch) -> Result<Option<usize>> {
        let Some(first) = batch.sequences.first() else {
            return Ok(None);
        };
        let seq = first.len();
        if batch.score_from == 0 || batch.score_from >= seq {
            return Err(Error::NothingToScore {
                found: seq,
                score_from: batch.score_from,
            });
        }
        for (index, sequence) in batch.sequences.iter().enumerate() {
            if sequence.len() != seq {
                return Err(Error::UnequalLengths {
                    index,
                    found: sequence.len(),
                    expected: seq,
                });
            }
            self.check_vocabulary(sequence)?;
        }
        Ok(Some(seq))
    }

    /// Checks that all ids are inside the vocabulary.
    pub(crate) fn check_vocabulary(&self, tokens: &[u32]) -> Result<()> {
        let vocab_size = self.config().vocab_size;
        let outside = |token: &u32| *token as usize >= vocab_size;
        match tokens.iter().position(outside) {
            None => Ok(()),
            Some(index) => Err(Error::TokenOutOfVocabulary {
                token: tokens[index],
                index,
                vocab_size,
            }),
        }
    }
}

/// The losses of `targets`, which are predicted by the rows of `hidden`, `[rows, hidden]`.
fn nll_of_rows(hidden: Tensor<2>, head: &Head, targets: Tensor<1, Int>) -> Vec<f32> {
    let nll = head.nll(hidden, targets).cast(DType::F32);
    nll.into_data().iter::<f32>().collect()
}

/// The most likely token of a row, or its first logit that is not finite.
type Likeliest = std::result::Result<u32, f32>;

/// The tokens of the positions from `score_from` on.
fn finite(likeliest: Vec<Likeliest>, score_from: usize) -> Result<Vec<u32>> {
    let rows = (score_from..).zip(likeliest);
    rows.map(|(position, row)| row.map_err(|value| logit_error(position, value)))
        .collect()
}

/// The most likely next token for every row of `hidden`, `[rows, hidden]`.
fn likeliest_of_rows(hidden: &Tensor<2>, head: &Head) -> Vec<Likeliest> {
    let mut rng = ChaCha8Rng::seed_from_u64(0); // not used by greedy sampling
    let [rows, _] = hidden.dims();
    let mut chosen = Vec::with_capacity(rows);
    for start in (0..rows).step_by(LOGIT_ROWS) {
        let n = LOGIT_ROWS.min(rows - start);
        let logits = head.logits(hidden.clone().narrow(0, start, n));
        let [_, vocab] = logits.dims();
        let logits: Vec<f32> = logits.into_data().iter::<f32>().collect(); // [n, vocab]
        let rows = logits.chunks(vocab);
        chosen.extend(rows.map(|row| match bad_logit(row) {
            None => Ok(Sampling::Greedy.choose(row, &mut rng)),
            Some(value) => Err(value),
        }));
    }
    chosen
}
