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

use super::matrix::Matrix;
use super::simd;
use super::view::View;

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

/// Queries of a block, so that it has about `rows` rows.
fn queries_per_block(rows: usize, group: usize, seq_q: usize) -> usize {
    (rows / group).clamp(1, seq_q)
}

/// The keys or values of a tile, `[keys, head_dim]`.
fn tile_of<'a>(view: &View<'a, 4>, block: &Block, first: usize) -> Matrix<'a> {
    Matrix {
        data: view.from([block.sequence, block.kv_head, first, 0]),
        strides: [view.strides[2], view.strides[3]],
    }
}
