//! The masked scores of a block, and the rows of queries that they belong to.

use std::ops::Range;

use burn::backend::tensor::{BoolTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{DType, Shape, TensorData};

use super::blocks::{Block, Grid, Sizes};
use crate::attention::config::AttentionConfig;
use crate::attention::visible::Visible;
use crate::composed::ops::{Float, wide};
use crate::composed::softcap::soft_cap;

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

/// The capped scores of scaled queries against the keys of a block, `[batch, n_kv_heads, group · rows, keys]`.
pub(super) fn scores<B: Backend>(
    scaled_queries: Float<B>,
    keys: Float<B>,
    config: &AttentionConfig,
) -> Float<B> {
    soft_cap(scaled_queries.matmul(keys.swap(2, 3)), config.softcap)
}

/// The scores, minus infinity for keys that a query does not see.
pub(super) fn hide_unseen<B: Backend>(
    scores: Float<B>,
    queries: &Range<usize>,
    block: &Block,
    Grid { sizes, visible, .. }: &Grid,
) -> Float<B> {
    if !block.is_masked {
        return scores;
    }
    let (n_rows, n_keys) = (queries.len(), block.keys.len());
    let (batch, n_kv_heads, group) = (sizes.batch, sizes.n_kv_heads, sizes.group());
    let hidden = hidden_keys(&scores, queries, block, visible); // [masks, rows, keys]
    let hidden = B::bool_reshape(
        hidden,
        Shape::from([visible.n_masks(), 1, 1, n_rows, n_keys]),
    );
    let hidden = B::bool_expand(
        hidden,
        Shape::from([batch, n_kv_heads, group, n_rows, n_keys]),
    );
    scores
        .reshape([batch, n_kv_heads, group, n_rows, n_keys])
        .hide(hidden)
        .reshape([batch, n_kv_heads, group * n_rows, n_keys])
}

/// `true` where a key is hidden from a query, `[n_masks, rows, keys]`.
fn hidden_keys<B: Backend>(
    like: &Float<B>,
    queries: &Range<usize>,
    block: &Block,
    visible: &Visible,
) -> BoolTensor<B> {
    let device = like.0.device();
    let settings = get_or_init_device_settings::<B>(&device);
    let (n_masks, n_rows, n_keys) = (visible.n_masks(), queries.len(), block.keys.len());
    let int = |values: Vec<usize>, dims: [usize; 3]| -> IntTensor<B> {
        let values: Vec<i64> = values
            .into_iter()
            .map(usize::cast_signed)
            .map(|v| v as i64)
            .collect();
        let data = TensorData::new(values, dims).convert_dtype(DType::from(settings.int_dtype));
        B::int_from_data(data, &device)
    };
    let seen: Vec<Range<usize>> = (0..n_masks)
        .flat_map(|b| queries.clone().map(move |query| (b, query)))
        .map(|(b, query)| visible.keys(b, query))
        .collect();
    let shape = Shape::from([n_masks, n_rows, n_keys]);
    let wide = |ints: IntTensor<B>| B::int_expand(ints, shape.clone());
    let first = wide(int(
        seen.iter().map(|keys| keys.start).collect(),
        [n_masks, n_rows, 1],
    ));
    let end = wide(int(
        seen.iter().map(|keys| keys.end).collect(),
        [n_masks, n_rows, 1],
    ));
    let keys = wide(int(block.keys.clone().collect(), [1, 1, n_keys]));
    B::bool_or(
        B::int_lower(keys.clone(), first, settings.bool_dtype),
        B::int_greater_equal(keys, end, settings.bool_dtype),
    )
}
