//! Keys and values in tiles that stay in cache.

use std::ops::Range;

use rayon::prelude::*;

use super::block::{Block, KEYS, ROWS};
use crate::flex::matrix::Matrix;
use crate::flex::view::View;

/// Number of query rows from which on it is worth making a transposed copy of the keys.
const ROWS_WORTH_TRANSPOSING: usize = 2 * ROWS;

/// Keys or values in tiles of [`KEYS`] positions.
pub(super) struct Tiles<'a> {
    pub(super) view: &'a View<'a, 4>,
    /// A transposed copy of each tile, `[head_dim, KEYS]`. Without it, products along `head_dim` would transpose each
    /// tile again for every block of queries.
    transposed: Option<Vec<f32>>,
}

impl<'a> Tiles<'a> {
    /// Tiles that will be multiplied with `n_rows` query rows.
    pub(super) fn new(view: &'a View<'a, 4>, n_rows: usize) -> Self {
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

    /// A tile, `[keys, head_dim]`.
    pub(super) fn rows(&self, block: &Block, tile: usize) -> Matrix<'a> {
        Matrix {
            data: (self.view).from([block.sequence, block.kv_head, tile * KEYS, 0]),
            strides: [self.view.strides[2], self.view.strides[3]],
        }
    }

    /// A transposed tile, `[head_dim, keys]`.
    pub(super) fn columns(&self, block: &Block, tile: usize) -> Matrix<'_> {
        let Some(transposed) = &self.transposed else {
            return self.rows(block, tile).transposed();
        };
        let [_, n_heads, seq, head_dim] = self.view.dims;
        let head = block.sequence * n_heads + block.kv_head;
        let at = (head * seq.div_ceil(KEYS) + tile) * head_dim * KEYS;
        Matrix::rows(&transposed[at..at + head_dim * KEYS], KEYS)
    }
}

/// The tiles that contain `keys`.
pub(super) fn tiles_over(keys: &Range<usize>) -> Range<usize> {
    keys.start / KEYS..keys.end.div_ceil(KEYS)
}
