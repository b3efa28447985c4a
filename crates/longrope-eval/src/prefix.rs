//! Runs the common beginning of consecutive sequences only once.

use longrope_model::{Decoder, KvCache};
use longrope_rope::ResolvedRope;

/// A single sequence is cached if it is at least this long. Shorter ones are faster to run again. Several sequences of
/// this length do not run faster together than one after the other.
const MIN_TOKENS: usize = 4096;

/// Long sequences are run one after the other if at least this share of their tokens does not have to be run again.
const LEAST_SHARED: f64 = 0.125;

/// Of a long sequence, a multiple of this many tokens is reused. The decoder then divides the others as if it ran the whole
/// sequence, so that nearly all results have the same bits.
const ALIGNED: usize = 256;

/// New tokens of a long sequence at least. Products of a few rows may be rounded differently.
const LEAST_NEW: usize = 64;

/// Capacities are multiples of this, so that a slightly longer sequence fits.
const ROOM: usize = 512;

/// Largest cache that is kept, in bytes.
const MAX_BYTES: usize = 4 << 30;

/// The cached tokens of the last sequence.
#[derive(Debug, Default)]
pub(crate) struct Prefix {
    last: Option<(Vec<u32>, KvCache)>,
}

impl Prefix {
    /// Whether sequences should be run one after the other, each after the beginning it shares with the previous one:
    /// if that saves at least half of the tokens, or some of them where sequences are long, or if there is a single long
    /// sequence and a similar one may follow.
    pub(crate) fn is_worth_it(
        &self,
        decoder: &Decoder,
        sequences: &[&[u32]],
        score_from: usize,
        rope: &ResolvedRope,
    ) -> bool {
        let Some(longest) = sequences.iter().map(|tokens| tokens.len()).max() else {
            return false;
        };
        if decoder.is_streamed() || decoder.kv_cache_bytes(longest) > MAX_BYTES {
            return false;
        }
        let kept = self.last.as_ref();
        let kept = kept.filter(|(_, cache)| cache.rope() == rope && cache.capacity() >= longest);
        let mut before = kept.map_or(&[][..], |(tokens, _)| tokens.as_slice());
        let (mut n_all, mut n_shared) = (0, 0);
        for sequence in sequences {
            n_all += sequence.len();
            n_shared += n_common(before, sequence).min(score_from - 1);
            before = sequence;
        }
        let share = n_shared as f64 / n_all as f64;
        let is_long = longest >= MIN_TOKENS;
        share >= 0.5 || (is_long && (sequences.len() == 1 || share >= LEAST_SHARED))
    }

    /// A cache with some of the first tokens of this sequence, fewer than `score_from`. It may be empty.
    pub(crate) fn take(
        &mut self,
        decoder: &Decoder,
        tokens: &[u32],
        score_from: usize,
        rope: &ResolvedRope,
        capacity: usize,
    ) -> KvCache {
        match self.last.take() {
            Some((cached, mut cache)) if cache.rope() == rope && cache.capacity() >= capacity => {
                let n_common = n_common(&cached, tokens).min(score_from - 1);
                cache.truncate(reused(n_common, tokens.len()));
                cache
            }
            _ => decoder.whole_kv_cache(capacity.next_multiple_of(ROOM), rope),
        }
    }

    /// Keeps the cached tokens of a sequence, unless they take too much memory.
    pub(crate) fn put(&mut self, decoder: &Decoder, tokens: &[u32], cache: KvCache) {
        if decoder.kv_cache_bytes(cache.capacity()) <= MAX_BYTES {
            self.last = Some((tokens[..cache.n_tokens()].to_vec(), cache));
        }
    }
}

/// The number of tokens to reuse of a common beginning of `n_common` tokens of a sequence.
fn reused(n_common: usize, n_tokens: usize) -> usize {
    if n_tokens < MIN_TOKENS {
        return n_common;
    }
    // The last token predicts nothing.
    n_common.min(n_tokens - 1 - LEAST_NEW) / ALIGNED * ALIGNED
}

/// Length of the common beginning of two sequences.
fn n_common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use burn::tensor::Device;

    use super::*;

    #[test]
    fn long_sequences_reuse_whole_blocks_and_run_a_few_tokens_again() {
        assert_eq!(reused(1000, 2000), 1000);
        assert_eq!(reused(1000, 5000), 768);
        assert_eq!(reused(4990, 5000), 4864);
        assert_eq!(reused(5110, 5124), 4864, "the last block has 3 tokens");
        assert_eq!(reused(200, 5000), 0);
    }

    #[test]
    fn two_long_texts_that_begin_alike_are_run_one_after_the_other() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../tests/fixtures/models/llama-gqa-tied");
        let decoder = Decoder::load(&folder, Device::flex()).unwrap();
        let rope = decoder.config().rope.resolve(MIN_TOKENS);
        let is_worth_it = |n_tokens: usize, n_common: usize| {
            let first = vec![5; n_tokens];
            let mut second = first.clone();
            second[n_common..].fill(6);
            Prefix::default().is_worth_it(&decoder, &[&first, &second], n_tokens - 5, &rope)
        };
        assert!(is_worth_it(MIN_TOKENS, MIN_TOKENS - 20));
        assert!(is_worth_it(MIN_TOKENS, MIN_TOKENS / 2));
        assert!(
            !is_worth_it(MIN_TOKENS, 20),
            "nearly all of it is run anyway"
        );
        assert!(
            !is_worth_it(MIN_TOKENS / 2, MIN_TOKENS / 2 - 20),
            "a batch is faster"
        );
    }
}
