//! The forward pass.

use std::ops::Range;

use burn::backend::Backend;

use super::blocks::{Grid, Sizes};
use super::scores::{heads_of_rows, hide_unseen, rows_of_groups, scores, sinks_of_rows};
use crate::attention::config::AttentionConfig;
use crate::composed::ops::Float;

/// Below any score, and finite: the maximum of a row that has seen no key yet.
const LOWEST: f64 = -1e30;

/// Attention, and the natural log-sum-exp of each query's scores and its sink, `[batch, n_heads, seq_q]`, in the type that
/// sums are computed in. See [`crate::attention()`] and [`crate::attention_with_sinks`].
///
/// The scores of a block take up to `block_bytes`.
pub(crate) fn attention<B: Backend>(
    [query, key, value]: [Float<B>; 3],
    sinks: Option<Float<B>>,
    config: &AttentionConfig,
    block_bytes: usize,
) -> (Float<B>, Float<B>) {
    let pass = Pass::new([query, key], sinks, config, block_bytes);
    let sizes = &pass.grid.sizes;
    let (mut outputs, mut sums) = (Vec::new(), Vec::new());
    for queries in pass.grid.queries() {
        let softmax = pass.softmax(&queries, Some(&value));
        sums.push(heads_of_rows(softmax.log_sum_exp(), &queries, sizes));
        let sum = softmax.sum.expect("it was asked for");
        let output = heads_of_rows(sum / softmax.total, &queries, sizes);
        outputs.push(output.cast(pass.query.dtype()));
    }
    (Float::cat(outputs, 2), pass.joined(sums))
}

/// The second result of [`attention`] alone.
pub(crate) fn log_sum_exp<B: Backend>(
    [query, key]: [Float<B>; 2],
    sinks: Option<Float<B>>,
    config: &AttentionConfig,
    block_bytes: usize,
) -> Float<B> {
    let pass = Pass::new([query, key], sinks, config, block_bytes);
    let sums = pass.grid.queries().map(|queries| {
        let softmax = pass.softmax(&queries, None);
        heads_of_rows(softmax.log_sum_exp(), &queries, &pass.grid.sizes)
    });
    pass.joined(sums.collect())
}

/// What all blocks share.
struct Pass<'a, B: Backend> {
    grid: Grid,
    config: &'a AttentionConfig,
    query: Float<B>,
    key: Float<B>,
    sinks: Option<Float<B>>,
}

impl<'a, B: Backend> Pass<'a, B> {
    fn new(
        [query, key]: [Float<B>; 2],
        sinks: Option<Float<B>>,
        config: &'a AttentionConfig,
        block_bytes: usize,
    ) -> Self {
        Self {
            grid: Grid::new(Sizes::new(&query, &key), config, block_bytes),
            config,
            query,
            key,
            sinks,
        }
    }

    /// The softmax of the rows of some queries, with the weighted sums of values if those are given.
    fn softmax(&self, queries: &Range<usize>, value: Option<&Float<B>>) -> Softmax<B> {
        let sizes = &self.grid.sizes;
        let rows = rows_of_groups(self.query.clone(), queries, sizes);
        let rows = rows.wide().scale(self.config.scale);
        let mut softmax: Option<Softmax<B>> = None;
        for block in self.grid.blocks(queries) {
            let part = |x: &Float<B>| x.clone().part(2, block.keys.clone()).wide();
            let scores = scores(rows.clone(), part(&self.key), self.config);
            let scores = hide_unseen(scores, queries, &block, &self.grid);
            let values = value.map(part);
            softmax = Some(match softmax {
                None => Softmax::new(scores, values, block.is_masked),
                Some(softmax) => softmax.and(scores, values),
            });
        }
        let softmax = softmax.expect("a query sees its own key");
        match &self.sinks {
            None => softmax,
            Some(sinks) => {
                let dtype = self.query.dtype();
                softmax.and_sink(sinks_of_rows(sinks, dtype, queries.len(), sizes))
            }
        }
    }

    /// Numbers of each query, `[batch, n_heads, seq_q]`.
    fn joined(&self, parts: Vec<Float<B>>) -> Float<B> {
        let sizes = &self.grid.sizes;
        Float::cat(parts, 2).reshape([sizes.batch, sizes.n_heads, sizes.seq_q])
    }
}

/// The softmax of rows over the blocks of keys so far.
struct Softmax<B: Backend> {
    /// The largest score of each row, `[batch, n_kv_heads, group · rows, 1]`.
    max: Float<B>,
    /// `Σ exp(s - max)`, the same shape.
    total: Float<B>,
    /// `Σ exp(s - max) · v`, `[batch, n_kv_heads, group · rows, head_dim]`, if there are values.
    sum: Option<Float<B>>,
}

impl<B: Backend> Softmax<B> {
    /// That over the first block. If that is masked, it may hide all of its keys from a row.
    fn new(scores: Float<B>, values: Option<Float<B>>, is_masked: bool) -> Self {
        let max = scores.clone().max(3);
        let max = if is_masked { max.at_least(LOWEST) } else { max };
        let powers = (scores - max.clone()).exp();
        Self {
            max,
            total: powers.clone().sum(3),
            sum: values.map(|values| powers.matmul(values)),
        }
    }

    /// With the scores of one more block.
    fn and(self, scores: Float<B>, values: Option<Float<B>>) -> Self {
        let max = self.max.clone().larger(scores.clone().max(3));
        let before = (self.max - max.clone()).exp();
        let powers = (scores - max.clone()).exp();
        Self {
            max,
            total: self.total * before.clone() + powers.clone().sum(3),
            sum: self
                .sum
                .zip(values)
                .map(|(sum, values)| sum * before + powers.matmul(values)),
        }
    }

    /// With the sink of each row, which has no value.
    fn and_sink(self, sinks: Float<B>) -> Self {
        let dims: [usize; 4] = self.max.dims();
        let sinks = sinks.expand(dims);
        let max = self.max.clone().larger(sinks.clone());
        let before = (self.max - max.clone()).exp();
        Self {
            total: self.total * before.clone() + (sinks - max.clone()).exp(),
            sum: self.sum.map(|sum| sum * before),
            max,
        }
    }

    fn log_sum_exp(&self) -> Float<B> {
        self.max.clone() + self.total.clone().ln()
    }
}
