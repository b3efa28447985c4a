//! The forward pass.

use std::ops::Range;

use super::blocks::{Grid, Sizes};
use super::rows::{heads_of_rows, rows_of_groups, sinks_of_rows};
use super::softmax::Softmax;
use super::view::Views;
use crate::attention::config::AttentionConfig;
use crate::composed::ops::Float;
use crate::composed::steps::Steps;

/// Attention, and the natural log-sum-exp of each query's scores and its sink, `[batch, n_heads, seq_q]`, in the type that
/// sums are computed in. See [`crate::attention()`] and [`crate::attention_with_sinks`].
///
/// The scores of a block take up to `block_bytes`.
pub(crate) fn attention<B: Steps>(
    [query, key, value]: [Float<B>; 3],
    sinks: Option<Float<B>>,
    config: &AttentionConfig,
    block_bytes: usize,
) -> (Float<B>, Float<B>) {
    let pass = Pass::new([query, key], sinks, config, block_bytes);
    let sizes = &pass.grid.sizes;
    let (mut outputs, mut sums) = (Vec::new(), Vec::new());
    for queries in pass.grid.queries() {
        let (softmax, sum) = pass.softmax(&queries, Some(&value));
        sums.push(heads_of_rows(softmax.log_sum_exp(), &queries, sizes));
        let sum = sum.expect("it was asked for");
        let output = heads_of_rows(sum / softmax.total, &queries, sizes);
        outputs.push(output.cast(pass.query.dtype()));
    }
    (Float::cat(outputs, 2), pass.joined(sums))
}

/// The second result of [`attention`] alone.
pub(crate) fn log_sum_exp<B: Steps>(
    [query, key]: [Float<B>; 2],
    sinks: Option<Float<B>>,
    config: &AttentionConfig,
    block_bytes: usize,
) -> Float<B> {
    let pass = Pass::new([query, key], sinks, config, block_bytes);
    let sums = pass.grid.queries().map(|queries| {
        let (softmax, _) = pass.softmax(&queries, None);
        heads_of_rows(softmax.log_sum_exp(), &queries, &pass.grid.sizes)
    });
    pass.joined(sums.collect())
}

/// What all blocks share.
struct Pass<'a, B: Steps> {
    grid: Grid,
    config: &'a AttentionConfig,
    query: Float<B>,
    key: Float<B>,
    sinks: Option<Float<B>>,
}

impl<'a, B: Steps> Pass<'a, B> {
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

    /// The softmax of the rows of some queries, and `Σ exp(s - max) · v` of each row if there are values,
    /// `[batch, n_kv_heads, group · rows, head_dim]`.
    fn softmax(
        &self,
        queries: &Range<usize>,
        value: Option<&Float<B>>,
    ) -> (Softmax<B>, Option<Float<B>>) {
        let sizes = &self.grid.sizes;
        let dtype = self.query.dtype();
        let rows = rows_of_groups(self.query.clone(), queries, sizes);
        let mut views = Views::new(&self.grid.visible, self.config, queries, &self.key);
        let mut softmax = None;
        let mut sum: Option<Float<B>> = None;
        for block in self.grid.blocks(queries) {
            let part = |x: &Float<B>| x.clone().part(2, block.keys.clone());
            let scores = B::product(rows.clone(), part(&self.key).swap(2, 3));
            let step = B::weights(scores, softmax, &views.of(&block), dtype);
            softmax = Some(step.after);
            if let Some(value) = value {
                let weighted = B::product(step.weights, part(value));
                sum = Some(match sum.zip(step.correction) {
                    None => weighted,
                    Some((sum, correction)) => sum * correction + weighted,
                });
            }
        }
        let softmax: Softmax<B> = softmax.expect("a query sees its own key");
        match &self.sinks {
            None => (softmax, sum),
            Some(sinks) => {
                let sinks = sinks_of_rows(sinks, dtype, queries.len(), sizes);
                let (softmax, correction) = softmax.and_sink(sinks);
                (softmax, sum.map(|sum| sum * correction))
            }
        }
    }

    /// Numbers of each query, `[batch, n_heads, seq_q]`.
    fn joined(&self, parts: Vec<Float<B>>) -> Float<B> {
        let sizes = &self.grid.sizes;
        Float::cat(parts, 2).reshape([sizes.batch, sizes.n_heads, sizes.seq_q])
    }
}
