//! Runs the common beginning of consecutive sequences only once.

use longrope_model::{Decoder, KvCache};
use longrope_rope::ResolvedRope;

/// A single sequence is cached if it is at least this long. Shorter ones are faster to run again.
const MIN_TOKENS: usize = 4096;

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
    /// if that saves at least half of the tokens, or if there is a single long sequence and a similar one may follow.
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
        2 * n_shared >= n_all || (sequences.len() == 1 && longest >= MIN_TOKENS)
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
                cache.truncate(n_common(&cached, tokens).min(score_from - 1));
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

/// Length of the common beginning of two sequences.
fn n_common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
