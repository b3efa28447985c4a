//! Attention in tiles that stay in cache.
//!
//! A task is a block of query rows of all the heads that share one key head: their rows form one
//! matrix, so a tile of keys is read once for the whole group. Tasks are many even for one head,
//! which therefore keeps all cores busy.

mod backward;
mod forward;

pub(super) use backward::attention_backward;
pub(super) use forward::attention;

use std::ops::Range;

use rayon::prelude::*;

use super::matrix::{Matrix, multiply, multiply_narrow};
use super::simd;
use super::view::View;
use crate::attention::Visible;

/// Query rows of a task, over all heads of its group.
const ROWS: usize = 256;
/// Keys of a tile: with [`ROWS`] rows of scores, 512 KiB.
const KEYS: usize = 512;
/// Query rows of a band at the edge of the causal mask.
const BAND: usize = 64;
/// Query rows from which on a transposed copy of the keys is made once.
const ROWS_WORTH_TRANSPOSING: usize = 2 * ROWS;

/// A block of queries of the heads that share one key head. Its rows are ordered (head of the
/// group, query).
struct Block {
    sequence: usize,
    kv_head: usize,
    group: usize,
    queries: Range<usize>,
}

impl Block {
    /// Block `index` of all blocks of `block` queries, ordered (queries, sequence, key head).
    fn nth(index: usize, block: usize, query: &View<4>, n_kv_heads: usize) -> Self {
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

    fn n_rows(&self) -> usize {
        self.group * self.queries.len()
    }

    /// Each row with its head and its query.
    fn rows(&self) -> impl Iterator<Item = (usize, usize, usize)> {
        let heads = self.kv_head * self.group..(self.kv_head + 1) * self.group;
        heads
            .flat_map(|head| self.queries.clone().map(move |query| (head, query)))
            .enumerate()
            .map(|(row, (head, query))| (row, head, query))
    }

    /// The rows that see keys of a tile of `n_keys` from `first` on, with the keys they are
    /// multiplied with.
    ///
    /// All rows and keys, unless the causal mask crosses the tile: then fewer rows at a time, each
    /// with the keys up to the last that one of them sees.
    fn bands(&self, visible: &Visible, first: usize, n_keys: usize) -> Vec<Band> {
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

    /// The query of a row.
    fn query_of(&self, row: usize) -> usize {
        self.queries.start + row % self.queries.len()
    }

    /// Copies the rows out of `[batch, heads, seq, head_dim]`, multiplied by `factor`.
    fn load(&self, from: &View<4>, factor: f32, rows: &mut [f32]) {
        let head_dim = from.dims[3];
        let mut scratch = Vec::new();
        for (row, head, query) in self.rows() {
            let line = from.row([self.sequence, head, query, 0], &mut scratch);
            simd::scale_into(&mut rows[row * head_dim..][..head_dim], line, factor);
        }
    }
}

/// Rows of a block by leading keys of a tile.
struct Band {
    rows: Range<usize>,
    n_keys: usize,
}

impl Band {
    /// The keys of the band that one of its rows sees, counted from the beginning of the tile.
    fn seen(&self, visible: &Visible, block: &Block, row: usize, first: usize) -> Range<usize> {
        let keys = visible.keys(block.sequence, block.query_of(row));
        let end = keys.end.saturating_sub(first).min(self.n_keys);
        keys.start.saturating_sub(first).min(end)..end
    }

    /// `out = left · columns` for the rows of the band: scores, or their gradients.
    fn multiply(&self, left: &[f32], columns: Matrix, head_dim: usize, out: &mut [f32]) {
        multiply_narrow(
            [self.rows.len(), self.n_keys, head_dim],
            Matrix::rows(&left[self.rows.start * head_dim..], head_dim),
            columns,
            &mut out[self.rows.start * KEYS..],
            KEYS,
        );
    }

    /// `out += weights · rows` for the rows of the band.
    fn add_rows(&self, weights: &[f32], rows: Matrix, head_dim: usize, out: &mut [f32]) {
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
    fn add_keys(&self, weights: &[f32], right: &[f32], head_dim: usize, out: &mut [f32]) {
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

/// Queries of a block, so that it has about [`ROWS`] rows.
fn queries_per_block(group: usize, seq_q: usize) -> usize {
    (ROWS / group).clamp(1, seq_q)
}

/// Scores are in units of a power of two: `2^(x log2 e) = e^x`, and powers of two are cheaper.
const SCORE_UNIT: f64 = std::f64::consts::LOG2_E;

/// Keys or values in tiles of [`KEYS`], from position 0 on.
struct Tiles<'a> {
    view: &'a View<'a, 4>,
    /// Each tile once more, `[head_dim, KEYS]`: products along `head_dim` would otherwise
    /// transpose a tile for each block of queries.
    transposed: Option<Vec<f32>>,
}

impl<'a> Tiles<'a> {
    /// Tiles that `n_rows` rows are going to be multiplied with.
    fn new(view: &'a View<'a, 4>, n_rows: usize) -> Self {
        let transposed = (n_rows >= ROWS_WORTH_TRANSPOSING).then(|| {
            let [batch, n_heads, seq, head_dim] = view.dims;
            let n_tiles = seq.div_ceil(KEYS);
            let mut tiles = vec![0f32; batch * n_heads * n_tiles * head_dim * KEYS];
            tiles
                .par_chunks_mut(head_dim * KEYS)
                .enumerate()
                .for_each(|(index, tile)| {
                    let (head, first) = (index / n_tiles, index % n_tiles * KEYS);
                    let mut scratch = Vec::new();
                    for key in 0..KEYS.min(seq - first) {
                        let at = [head / n_heads, head % n_heads, first + key, 0];
                        let row = view.row(at, &mut scratch);
                        for (column, x) in tile[key..].iter_mut().step_by(KEYS).zip(row) {
                            *column = *x;
                        }
                    }
                });
            tiles
        });
        Self { view, transposed }
    }

    /// A tile as it is, `[keys, head_dim]`.
    fn rows(&self, block: &Block, tile: usize) -> Matrix<'a> {
        Matrix {
            data: (self.view).from([block.sequence, block.kv_head, tile * KEYS, 0]),
            strides: [self.view.strides[2], self.view.strides[3]],
        }
    }

    /// A tile transposed, `[head_dim, keys]`.
    fn columns(&self, block: &Block, tile: usize) -> Matrix<'_> {
        let Some(transposed) = &self.transposed else {
            return self.rows(block, tile).transposed();
        };
        let [_, n_heads, seq, head_dim] = self.view.dims;
        let head = block.sequence * n_heads + block.kv_head;
        let at = (head * seq.div_ceil(KEYS) + tile) * head_dim * KEYS;
        Matrix::rows(&transposed[at..at + head_dim * KEYS], KEYS)
    }
}

/// The tiles that hold any of `keys`.
fn tiles_over(keys: &Range<usize>) -> Range<usize> {
    keys.start / KEYS..keys.end.div_ceil(KEYS)
}
