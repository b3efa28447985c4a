//! The rows of queries that blocks of scores belong to.

use std::ops::Range;

use burn::backend::Backend;
use burn::tensor::DType;

use super::blocks::Sizes;
use crate::composed::ops::{Float, wide};

/// The rows of some queries, `[batch, n_kv_heads, group · rows, width]` of `[batch, n_heads, seq_q, width]`: the heads that
/// share a key head are rows of one matrix, so keys need not be repeated.
pub(super) fn rows_of_groups<B: Backend>(
    heads: Float<B>,
    queries: &Range<usize>,
    sizes: &Sizes,
) -> Float<B> {
    let [_, _, _, width] = heads.dims();
    heads.part(2, queries.clone()).reshape([
        sizes.batch,
        sizes.n_kv_heads,
        sizes.group() * queries.len(),
        width,
    ])
}

/// The inverse of [`rows_of_groups`]: `[batch, n_heads, rows, width]`.
pub(super) fn heads_of_rows<B: Backend>(
    rows: Float<B>,
    queries: &Range<usize>,
    sizes: &Sizes,
) -> Float<B> {
    let [_, _, _, width] = rows.dims();
    rows.reshape([sizes.batch, sizes.n_heads, queries.len(), width])
}

/// The sink of each row, `[1, n_kv_heads, group · rows, 1]`, in the type that sums of `dtype` are computed in.
pub(super) fn sinks_of_rows<B: Backend>(
    sinks: &Float<B>,
    dtype: DType,
    n_rows: usize,
    sizes: &Sizes,
) -> Float<B> {
    let (n_kv_heads, group) = (sizes.n_kv_heads, sizes.group());
    let sinks = sinks.clone().cast(wide(dtype));
    let rows = sinks
        .reshape([n_kv_heads, group, 1])
        .expand([n_kv_heads, group, n_rows]);
    rows.reshape([1, n_kv_heads, group * n_rows, 1])
}
