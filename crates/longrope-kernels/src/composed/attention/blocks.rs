//! Which blocks of scores are computed.

use std::ops::Range;

use burn::backend::Backend;

use crate::attention::config::AttentionConfig;
use crate::attention::visible::Visible;
use crate::composed::ops::Float;

/// Blocks with more rows or keys than this have a multiple of it, so that kernels meet few shapes.
const UNIT: usize = 128;

/// Sizes of one call.
pub(super) struct Sizes {
    pub(super) batch: usize,
    pub(super) n_heads: usize,
    pub(super) n_kv_heads: usize,
    pub(super) seq_q: usize,
    pub(super) seq_kv: usize,
    pub(super) head_dim: usize,
}

impl Sizes {
    pub(super) fn new<B: Backend>(query: &Float<B>, key: &Float<B>) -> Self {
        let [batch, n_heads, seq_q, head_dim] = query.dims();
        let [_, n_kv_heads, seq_kv, _] = key.dims();
        Self {
            batch,
            n_heads,
            n_kv_heads,
            seq_q,
            seq_kv,
            head_dim,
        }
    }

    pub(super) fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// A block of scores, of these queries against these keys.
pub(super) struct Block {
    /// Which block of the keys this is.
    pub(super) index: usize,
    pub(super) keys: Range<usize>,
    /// Whether a query does not see all of the keys.
    pub(super) is_masked: bool,
}

/// How queries and keys are divided.
pub(super) struct Grid {
    pub(super) sizes: Sizes,
    pub(super) visible: Visible,
    /// Queries of a block.
    n_queries: usize,
    /// Keys of a block.
    n_keys: usize,
}

impl Grid {
    /// The scores of a block take up to `block_bytes` in `f32`, if that is enough for one.
    pub(super) fn new(sizes: Sizes, config: &AttentionConfig, block_bytes: usize) -> Self {
        let most = (block_bytes / (4 * sizes.batch * sizes.n_heads)).max(1);
        let n_queries = if sizes.seq_q * sizes.seq_kv <= most {
            sizes.seq_q
        } else {
            rounded(most.isqrt()).min(sizes.seq_q)
        };
        Self {
            visible: Visible::new(config, sizes.seq_q, sizes.seq_kv),
            n_queries,
            n_keys: rounded((most / n_queries).max(1)).min(sizes.seq_kv),
            sizes,
        }
    }

    /// The blocks of queries, in order.
    pub(super) fn queries(&self) -> impl Iterator<Item = Range<usize>> + use<> {
        let (seq_q, n_queries) = (self.sizes.seq_q, self.n_queries);
        (0..seq_q)
            .step_by(n_queries)
            .map(move |start| start..(start + n_queries).min(seq_q))
    }

    /// Number of blocks of the keys.
    pub(super) fn n_key_blocks(&self) -> usize {
        self.sizes.seq_kv.div_ceil(self.n_keys)
    }

    /// The keys of a block.
    pub(super) fn keys(&self, index: usize) -> Range<usize> {
        let start = index * self.n_keys;
        start..(start + self.n_keys).min(self.sizes.seq_kv)
    }

    /// The blocks of keys that a block of queries sees at least in part, in order.
    pub(super) fn blocks(&self, queries: &Range<usize>) -> Vec<Block> {
        let visible = &self.visible;
        let sequences = || 0..visible.n_masks();
        let blocks = (0..self.n_key_blocks()).filter_map(|index| {
            let keys = self.keys(index);
            let is_seen = sequences().any(|sequence| {
                let seen = visible.keys_of_block(sequence, queries);
                seen.start < keys.end && keys.start < seen.end
            });
            // Both ends of what is seen grow from query to query.
            let is_whole = sequences().all(|sequence| {
                let first = visible.keys(sequence, queries.start);
                let last = visible.keys(sequence, queries.end - 1);
                last.start <= keys.start && keys.end <= first.end
            });
            is_seen.then_some(Block {
                index,
                keys,
                is_masked: !is_whole,
            })
        });
        blocks.collect()
    }
}

/// `n`, or the next smaller multiple of [`UNIT`].
fn rounded(n: usize) -> usize {
    if n < UNIT { n } else { n - n % UNIT }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two heads that share keys.
    fn grid([seq_q, seq_kv]: [usize; 2], window: Option<usize>, block_bytes: usize) -> Grid {
        let sizes = Sizes {
            batch: 1,
            n_heads: 2,
            n_kv_heads: 1,
            seq_q,
            seq_kv,
            head_dim: 4,
        };
        let config = AttentionConfig {
            window,
            ..AttentionConfig::causal(4)
        };
        Grid::new(sizes, &config, block_bytes)
    }

    /// Index of each block that the queries see, and whether it is masked.
    fn seen(grid: &Grid, queries: Range<usize>) -> Vec<(usize, bool)> {
        grid.blocks(&queries)
            .iter()
            .map(|block| (block.index, block.is_masked))
            .collect()
    }

    #[test]
    fn short_windows_are_one_block() {
        let grid = grid([10, 12], None, 4 * 2 * 120);
        assert_eq!(grid.queries().collect::<Vec<_>>(), vec![0..10]);
        assert_eq!(grid.keys(0), 0..12);
        assert_eq!(seen(&grid, 0..10), [(0, true)]);
    }

    #[test]
    fn blocks_have_rows_and_keys_alike_at_any_length() {
        let long = grid([1 << 17, 1 << 17], None, 64 << 20);
        assert_eq!((long.n_queries, long.n_keys), (2816, 2944));
        // One query has all keys in one block.
        let single = grid([1, 1 << 17], None, 64 << 20);
        assert_eq!((single.n_queries, single.n_key_blocks()), (1, 1));
    }

    #[test]
    fn only_blocks_that_are_seen_are_computed_and_whole_ones_have_no_mask() {
        // Blocks of 4 queries and 4 keys.
        let all = grid([12, 12], None, 4 * 2 * 16);
        assert_eq!(all.queries().collect::<Vec<_>>(), [0..4, 4..8, 8..12]);
        let expected = [(0, false), (1, false), (2, true)];
        assert_eq!(seen(&all, 8..12), expected);
        // The query at 8 sees keys from 7 on.
        let windows = grid([12, 12], Some(2), 4 * 2 * 16);
        assert_eq!(seen(&windows, 8..12), [(1, true), (2, true)]);
    }
}
