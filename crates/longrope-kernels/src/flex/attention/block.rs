//! The queries of one task as rows of a matrix.

use std::ops::Range;

use crate::attention::visible::Visible;
use crate::flex::matrix::{Matrix, multiply, multiply_narrow};
use crate::flex::simd;
use crate::flex::view::View;

/// Query rows per task, over all heads of its group.
pub(super) const ROWS: usize = 256;
/// Keys per tile; with [`ROWS`] rows, the scores of a tile take 512 KiB.
pub(super) const KEYS: usize = 512;
/// Query rows per band at the edge of the causal mask.
const BAND: usize = 64;

/// A block of queries of the heads that share one key head. Its rows are ordered by head of the group, then by query.
pub(super) struct Block {
    pub(super) sequence: usize,
    pub(super) kv_head: usize,
    group: usize,
    pub(super) queries: Range<usize>,
}

impl Block {
    /// Block `index` of all blocks of `block` queries, ordered by queries, then sequence, then key head.
    pub(super) fn nth(index: usize, block: usize, query: &View<4>, n_kv_heads: usize) -> Self {
        let [batch, n_heads, seq_q, _] = query.dims;
        let (block_idx, rest) = (index / (batch * n_kv_heads), index % (batch * n_kv_heads));
        let start = block_idx * block;
        Self {
            sequence: rest / n_kv_heads,
            kv_head: rest % n_kv_heads,
            group: n_heads / n_kv_heads,
            queries: start..(start + block).min(seq_q),
        }
    }

    pub(super) fn n_rows(&self) -> usize {
        self.group * self.queries.len()
    }

    /// The rows as (row, head, query).
    pub(super) fn rows(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let heads = self.kv_head * self.group..(self.kv_head + 1) * self.group;
        heads
            .flat_map(|head| self.queries.clone().map(move |query| (head, query)))
            .enumerate()
            .map(|(row, (head, query))| (row, head, query))
    }

    /// The products to compute for a tile of `n_keys` keys that starts at `first`.
    ///
    /// This is one band of all rows and keys, unless the causal mask crosses the tile. Then there are several bands of
    /// fewer rows, each with the keys up to the last one that any of its rows sees.
    pub(super) fn bands(&self, visible: &Visible, first: usize, n_keys: usize) -> Vec<Band> {
        let end = |query| {
            visible
                .keys(self.sequence, query)
                .end
                .saturating_sub(first)
                .min(n_keys)
        };
        if end(self.queries.start) == n_keys {
            return vec![Band {
                rows: 0..self.n_rows(),
                n_keys,
            }];
        }
        let n_queries = self.queries.len();
        let mut bands = Vec::new();
        for head in 0..self.group {
            for start in (0..n_queries).step_by(BAND) {
                let stop = (start + BAND).min(n_queries);
                bands.push(Band {
                    rows: head * n_queries + start..head * n_queries + stop,
                    n_keys: end(self.queries.start + stop - 1),
                });
            }
        }
        bands.retain(|band| band.n_keys > 0);
        bands
    }

    /// The query that a row belongs to.
    fn query_of(&self, row: usize) -> usize {
        self.queries.start + row % self.queries.len()
    }

    /// Copies the rows of this block from `[batch, heads, seq, head_dim]`, multiplied by `factor`.
    pub(super) fn load(&self, from: &View<4>, factor: f32, rows: &mut [f32]) {
        let head_dim = from.dims[3];
        let mut scratch = Vec::new();
        for (row, head, query) in self.rows() {
            let line = from.row([self.sequence, head, query, 0], &mut scratch);
            simd::scale_into(&mut rows[row * head_dim..][..head_dim], line, factor);
        }
    }
}

/// Some rows of a block, multiplied with the first keys of a tile.
pub(super) struct Band {
    pub(super) rows: Range<usize>,
    pub(super) n_keys: usize,
}

impl Band {
    /// The keys of the band that a row sees, relative to the start of the tile.
    pub(super) fn seen(
        &self,
        visible: &Visible,
        block: &Block,
        row: usize,
        first: usize,
    ) -> Range<usize> {
        let keys = visible.keys(block.sequence, block.query_of(row));
        let end = keys.end.saturating_sub(first).min(self.n_keys);
        keys.start.saturating_sub(first).min(end)..end
    }

    /// `out = left · columns` for the rows of the band: scores, or gradients of weights.
    pub(super) fn multiply(&self, left: &[f32], columns: Matrix, head_dim: usize, out: &mut [f32]) {
        multiply_narrow(
            [self.rows.len(), self.n_keys, head_dim],
            Matrix::rows(&left[self.rows.start * head_dim..], head_dim),
            columns,
            &mut out[self.rows.start * KEYS..],
            KEYS,
        );
    }

    /// `out += weights · rows` for the rows of the band.
    pub(super) fn add_rows(&self, weights: &[f32], rows: Matrix, head_dim: usize, out: &mut [f32]) {
        multiply(
            [self.rows.len(), head_dim, self.n_keys],
            Matrix::rows(&weights[self.rows.start * KEYS..], KEYS),
            rows,
            &mut out[self.rows.start * head_dim..],
            head_dim,
            true,
        );
    }

    /// `out += weightsᵀ · right` over the rows of the band, for its keys.
    pub(super) fn add_keys(
        &self,
        weights: &[f32],
        right: &[f32],
        head_dim: usize,
        out: &mut [f32],
    ) {
        multiply(
            [self.n_keys, head_dim, self.rows.len()],
            Matrix::rows(&weights[self.rows.start * KEYS..], KEYS).transposed(),
            Matrix::rows(&right[self.rows.start * head_dim..], head_dim),
            out,
            head_dim,
            true,
        );
    }
}

/// Number of queries per block, so that a block has about [`ROWS`] rows.
pub(super) fn queries_per_block(group: usize, seq_q: usize) -> usize {
    (ROWS / group).clamp(1, seq_q)
}

/// Scores are multiplied by this factor, so that the softmax can use `2^x`, which is cheaper: `2^(x log2 e) = e^x`.
pub(super) const SCORE_UNIT: f64 = std::f64::consts::LOG2_E;
