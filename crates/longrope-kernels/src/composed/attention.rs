//! Exact attention over chunks of queries, forward and backward.

use std::ops::Range;

use burn::backend::tensor::{BoolTensor, IntTensor};
use burn::backend::{Backend, TensorMetadata, get_or_init_device_settings};
use burn::tensor::{DType, Shape, TensorData};

use super::chunks::rows_per_chunk;
use super::ops::{Float, wide};
use super::softcap::{slope_of_cap, soft_cap, through_cap};
use crate::attention::config::AttentionConfig;
use crate::attention::visible::Visible;

/// Sizes of one call.
struct Sizes {
    batch: usize,
    n_heads: usize,
    n_kv_heads: usize,
    seq_q: usize,
    seq_kv: usize,
    head_dim: usize,
}

impl Sizes {
    fn new<B: Backend>(query: &Float<B>, key: &Float<B>) -> Self {
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

    fn group(&self) -> usize {
        self.n_heads / self.n_kv_heads
    }
}

/// A chunk of queries, and the range of keys that at least one of them sees.
struct Chunk {
    queries: Range<usize>,
    keys: Range<usize>,
}

fn chunks(sizes: &Sizes, visible: &Visible) -> Vec<Chunk> {
    let row_bytes = 4 * sizes.batch * sizes.n_heads * sizes.seq_kv;
    let n_rows = rows_per_chunk(row_bytes, sizes.seq_q);
    (0..sizes.seq_q)
        .step_by(n_rows)
        .map(|start| {
            let queries = start..(start + n_rows).min(sizes.seq_q);
            let seen = (0..visible.n_masks()).map(|b| visible.keys_of_block(b, &queries));
            let keys = seen.fold(sizes.seq_kv..0, |all, one| {
                all.start.min(one.start)..all.end.max(one.end)
            });
            Chunk { queries, keys }
        })
        .collect()
}

/// See [`crate::attention()`] and [`crate::attention_with_sinks`].
pub(crate) fn attention<B: Backend>(
    [query, key, value]: [Float<B>; 3],
    sinks: Option<Float<B>>,
    config: &AttentionConfig,
) -> Float<B> {
    let sizes = Sizes::new(&query, &key);
    let visible = Visible::new(config, sizes.seq_q, sizes.seq_kv);
    let dtype = query.dtype();
    let parts = chunks(&sizes, &visible).into_iter().map(|chunk| {
        let queries = rows_of_groups(query.clone(), &chunk, &sizes).scale(config.scale);
        let keys = key.clone().part(2, chunk.keys.clone()).wide();
        let values = value.clone().part(2, chunk.keys.clone()).wide();
        let scores = scores(queries, keys, config);
        let sinks = sinks_of_rows(sinks.as_ref(), dtype, &chunk, &sizes);
        let weights = weights(scores, sinks, &chunk, &sizes, &visible);
        let output = weights.powers.matmul(values) / weights.total;
        heads_of_rows(output, &chunk, &sizes).cast(dtype)
    });
    Float::cat(parts.collect(), 2)
}

/// See [`crate::attention_with_log_sum_exp`].
pub(crate) fn attention_log_sum_exp<B: Backend>(
    [query, key, value]: [Float<B>; 3],
    config: &AttentionConfig,
) -> (Float<B>, Float<B>) {
    let sizes = Sizes::new(&query, &key);
    let visible = Visible::new(config, sizes.seq_q, sizes.seq_kv);
    let dtype = query.dtype();
    let (mut outputs, mut sums) = (Vec::new(), Vec::new());
    for chunk in chunks(&sizes, &visible) {
        let queries = rows_of_groups(query.clone(), &chunk, &sizes).scale(config.scale);
        let keys = key.clone().part(2, chunk.keys.clone()).wide();
        let values = value.clone().part(2, chunk.keys.clone()).wide();
        let scores = scores(queries, keys, config);
        let scores = hide_unseen(scores, &chunk, &sizes, &visible);
        let max = scores.clone().max(3);
        let powers = (scores - max.clone()).exp();
        let total = powers.clone().sum(3);
        let output = powers.matmul(values) / total.clone();
        outputs.push(heads_of_rows(output, &chunk, &sizes).cast(dtype));
        let log_sum_exp =
            (max + total.ln()).reshape([sizes.batch, sizes.n_heads, chunk.queries.len()]);
        sums.push(log_sum_exp);
    }
    (Float::cat(outputs, 2), Float::cat(sums, 2))
}

/// Gradients of [`attention`] with respect to queries, keys and values, and to the sinks if there are any. `output` is its
/// result, and `grad` the gradient of that.
///
/// With `P` the softmax of the scores `S = scale · Q Kᵀ`: `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ∘ (dP - rowsum(P ∘ dP))`
/// times the slope of the soft cap, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`. A sink is a score without a value, so its
/// `dP` is 0, and its gradient is the sum of `-p · rowsum(P ∘ dP)` over all queries, with `p` the sink's weight.
///
/// `rowsum(P ∘ dP)` is `rowsum(O ∘ dO)`, and `P` is never divided by its total: both save passes over the scores, which
/// are most of the traffic on a GPU.
pub(crate) fn attention_backward<B: Backend>(
    [query, key, value]: [Float<B>; 3],
    sinks: Option<Float<B>>,
    [output, grad]: [Float<B>; 2],
    config: &AttentionConfig,
) -> ([Float<B>; 3], Option<Float<B>>) {
    let sizes = Sizes::new(&query, &key);
    let visible = Visible::new(config, sizes.seq_q, sizes.seq_kv);
    let dtype = query.dtype();
    let zeros = || Float::zeros(key.dims::<4>(), wide(dtype), &key);
    let (mut d_key, mut d_value) = (zeros(), zeros());
    let mut d_query = Vec::new();
    let mut d_sinks = sinks
        .as_ref()
        .map(|sinks| Float::zeros([sizes.n_heads], wide(dtype), sinks));
    for chunk in chunks(&sizes, &visible) {
        let queries = rows_of_groups(query.clone(), &chunk, &sizes).scale(config.scale);
        let grads = rows_of_groups(grad.clone(), &chunk, &sizes);
        let row = (rows_of_groups(output.clone(), &chunk, &sizes) * grads.clone()).sum(3);
        let keys = key.clone().part(2, chunk.keys.clone()).wide();
        let values = value.clone().part(2, chunk.keys.clone()).wide();
        let scores = scores(queries.clone(), keys.clone(), config);
        let slope = slope_of_cap(&scores, config.softcap);
        let sinks = sinks_of_rows(sinks.as_ref(), dtype, &chunk, &sizes);
        let Weights {
            powers,
            total,
            sink,
        } = weights(scores, sinks, &chunk, &sizes, &visible);
        let shares = grads.clone() / total.clone();
        d_value = d_value.add_part(
            2,
            chunk.keys.clone(),
            powers.clone().swap(2, 3).matmul(shares), // [b, kv, keys, d]
        );
        let dp = grads.matmul(values.swap(2, 3)); // [b, kv, g·rows, keys]
        if let Some(sink) = sink {
            let of_heads = (sink / total.clone() * row.clone())
                .reshape([sizes.batch, sizes.n_heads, chunk.queries.len()])
                .sum(2)
                .sum(0)
                .reshape([sizes.n_heads]);
            d_sinks = d_sinks.map(|sum| sum - of_heads);
        }
        let ds = through_cap(powers * ((dp - row) / total), slope);
        d_key = d_key.add_part(2, chunk.keys.clone(), ds.clone().swap(2, 3).matmul(queries));
        let d_rows = heads_of_rows(ds.matmul(keys).scale(config.scale), &chunk, &sizes);
        d_query.push(d_rows.cast(dtype));
    }
    let gradients = [
        Float::cat(d_query, 2),
        d_key.cast(dtype),
        d_value.cast(dtype),
    ];
    let d_sinks = d_sinks
        .zip(sinks)
        .map(|(sum, sinks)| sum.cast(sinks.dtype()));
    (gradients, d_sinks)
}

/// The queries of a chunk, `[batch, n_kv_heads, group · rows, head_dim]`: the heads that share a key head are rows of
/// one matrix, so keys need not be repeated.
fn rows_of_groups<B: Backend>(heads: Float<B>, chunk: &Chunk, sizes: &Sizes) -> Float<B> {
    heads.part(2, chunk.queries.clone()).wide().reshape([
        sizes.batch,
        sizes.n_kv_heads,
        sizes.group() * chunk.queries.len(),
        sizes.head_dim,
    ])
}

/// The inverse of [`rows_of_groups`]: `[batch, n_heads, rows, head_dim]`.
fn heads_of_rows<B: Backend>(rows: Float<B>, chunk: &Chunk, sizes: &Sizes) -> Float<B> {
    rows.reshape([
        sizes.batch,
        sizes.n_heads,
        chunk.queries.len(),
        sizes.head_dim,
    ])
}

/// The capped scores of scaled queries against keys, `[batch, n_kv_heads, group · rows, keys]`.
fn scores<B: Backend>(queries: Float<B>, keys: Float<B>, config: &AttentionConfig) -> Float<B> {
    soft_cap(queries.matmul(keys.swap(2, 3)), config.softcap)
}

/// The sink of each row, `[1, n_kv_heads, group · rows, 1]`, in the type that sums of `dtype` are computed in.
fn sinks_of_rows<B: Backend>(
    sinks: Option<&Float<B>>,
    dtype: DType,
    chunk: &Chunk,
    sizes: &Sizes,
) -> Option<Float<B>> {
    let (n_kv_heads, n_rows) = (sizes.n_kv_heads, chunk.queries.len());
    let sinks = sinks?.clone().cast(wide(dtype));
    let rows =
        sinks
            .reshape([n_kv_heads, sizes.group(), 1])
            .expand([n_kv_heads, sizes.group(), n_rows]);
    Some(rows.reshape([1, n_kv_heads, sizes.group() * n_rows, 1]))
}

/// The softmax of the scores of the keys that each query sees, `powers / total`.
struct Weights<B: Backend> {
    /// `[batch, n_kv_heads, group · rows, keys]`
    powers: Float<B>,
    /// `[batch, n_kv_heads, group · rows, 1]`
    total: Float<B>,
    /// That of each row's sink, which `total` counts too.
    sink: Option<Float<B>>,
}

fn weights<B: Backend>(
    scores: Float<B>,
    sinks: Option<Float<B>>,
    chunk: &Chunk,
    sizes: &Sizes,
    visible: &Visible,
) -> Weights<B> {
    let scores = hide_unseen(scores, chunk, sizes, visible);
    let max = scores.clone().max(3);
    let Some(sinks) = sinks else {
        let powers = (scores - max).exp();
        return Weights {
            total: powers.clone().sum(3),
            powers,
            sink: None,
        };
    };
    // The larger of maximum and sink, so that neither exponential overflows.
    let top = max.clone() + (sinks.clone() - max).relu();
    let powers = (scores - top.clone()).exp();
    let sink = (sinks - top).exp();
    Weights {
        total: powers.clone().sum(3) + sink.clone(),
        powers,
        sink: Some(sink),
    }
}

/// The scores, minus infinity for keys that a query does not see.
fn hide_unseen<B: Backend>(
    scores: Float<B>,
    chunk: &Chunk,
    sizes: &Sizes,
    visible: &Visible,
) -> Float<B> {
    let (n_rows, n_keys) = (chunk.queries.len(), chunk.keys.len());
    let (batch, n_kv_heads, group) = (sizes.batch, sizes.n_kv_heads, sizes.group());
    let hidden = hidden_keys(&scores, chunk, visible); // [masks, rows, keys]
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
fn hidden_keys<B: Backend>(like: &Float<B>, chunk: &Chunk, visible: &Visible) -> BoolTensor<B> {
    let device = like.0.device();
    let settings = get_or_init_device_settings::<B>(&device);
    let (n_masks, n_rows, n_keys) = (visible.n_masks(), chunk.queries.len(), chunk.keys.len());
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
        .flat_map(|b| chunk.queries.clone().map(move |query| (b, query)))
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
    let keys = wide(int(chunk.keys.clone().collect(), [1, 1, n_keys]));
    B::bool_or(
        B::int_lower(keys.clone(), first, settings.bool_dtype),
        B::int_greater_equal(keys, end, settings.bool_dtype),
    )
}

#[cfg(feature = "flex")]
#[cfg(test)]
mod tests {
    use burn::backend::Flex;
    use burn_flex::FlexTensor;

    use super::*;
    use crate::attention::documents::Documents;
    use crate::composed::by_document::attend_by_document;

    /// Rounding of sums in `f32`.
    const TOLERANCE: f32 = 1e-6;

    fn heads(n_heads: usize) -> Float<Flex> {
        let values =
            (0..2 * n_heads * 10 * 4).map(|i| ((i * 37 + n_heads) % 101) as f32 / 50.0 - 1.0);
        let data = TensorData::new(values.collect::<Vec<f32>>(), [2, n_heads, 10, 4]);
        Float(FlexTensor::from_data(data))
    }

    #[test]
    fn documents_one_at_a_time_are_those_of_the_mask() {
        let documents = Documents::from_lengths(&[vec![3, 6, 1], vec![10]]);
        let inputs = [heads(4), heads(2), heads(2)];
        let plain = AttentionConfig::causal(4);
        let found = attend_by_document(inputs.clone(), &documents, |part| {
            attention(part, None, &plain)
        });
        let masked = AttentionConfig {
            documents: Some(documents),
            ..plain
        };
        let expected = attention(inputs, None, &masked);
        let [found, expected] = [found, expected].map(|x| {
            let data = x.0.into_data();
            data.iter::<f32>().collect::<Vec<_>>()
        });
        assert_eq!(found.len(), 2 * 4 * 10 * 4);
        for (x, y) in found.iter().zip(&expected) {
            assert!((x - y).abs() < TOLERANCE, "{x} is not {y}");
        }
    }
}
