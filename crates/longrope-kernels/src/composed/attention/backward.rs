//! The backward pass.

use std::ops::Range;

use burn::backend::Backend;
use burn::tensor::DType;

use super::blocks::{Block, Grid, Sizes};
use super::scores::{heads_of_rows, hide_unseen, rows_of_groups, scores, sinks_of_rows};
use crate::attention::config::AttentionConfig;
use crate::composed::ops::{Float, wide};
use crate::composed::softcap::{slope_of_cap, through_cap};

/// How the backward pass computes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Products {
    /// Bytes that the scores of a block may take.
    pub(crate) block_bytes: usize,
    /// Type of the operands and results of the products that give the gradients. Scores and softmax are computed in `f32` or
    /// wider in any case, and so are the sums of these results over blocks.
    pub(crate) dtype: DType,
}

/// Gradients of [`attention`](super::attention) with respect to queries, keys and values, and to the sinks if there are any.
/// `output` and `log_sum_exp` are its results, and `grad` is the gradient of the output.
///
/// With `P` the softmax of the scores `S = scale · Q Kᵀ`: `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ∘ (dP - rowsum(P ∘ dP))`
/// times the slope of the soft cap, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`. A sink is a score without a value, so its
/// `dP` is 0, and its gradient is the sum of `-p · rowsum(P ∘ dP)` over all queries, with `p` the sink's weight.
///
/// `rowsum(P ∘ dP)` is `rowsum(O ∘ dO)`, and `P` is `exp(S - log_sum_exp)`. So a block of scores depends on no other block,
/// and the passes over it are few: they are most of the traffic on a GPU.
pub(crate) fn attention_backward<B: Backend>(
    [query, key, value]: [Float<B>; 3],
    sinks: Option<Float<B>>,
    [output, log_sum_exp, grad]: [Float<B>; 3],
    config: &AttentionConfig,
    products: Products,
) -> ([Float<B>; 3], Option<Float<B>>) {
    let dtype = query.dtype();
    let pass = Pass {
        grid: Grid::new(Sizes::new(&query, &key), config, products.block_bytes),
        config,
        dtype: products.dtype,
    };
    let grid = &pass.grid;
    let sizes = &grid.sizes;
    let mut d_queries = Vec::new();
    let mut d_blocks: Vec<Option<[Float<B>; 2]>> = vec![None; grid.n_key_blocks()];
    let mut d_sinks = sinks
        .as_ref()
        .map(|sinks| Float::zeros([sizes.n_heads], wide(dtype), sinks));
    for queries in grid.queries() {
        let of_rows = |x: &Float<B>| rows_of_groups(x.clone(), &queries, sizes);
        let column = log_sum_exp
            .clone()
            .reshape([sizes.batch, sizes.n_heads, sizes.seq_q, 1]);
        let inputs = [&query, &output, &grad].map(of_rows);
        let rows = pass.rows(inputs, of_rows(&column));
        if let Some(sinks) = &sinks {
            let sinks = sinks_of_rows(sinks, dtype, queries.len(), sizes);
            let of_heads = pass.sinks(sinks, &rows, queries.len());
            d_sinks = d_sinks.map(|sum| sum - of_heads);
        }
        let mut d_rows: Option<Float<B>> = None;
        for block in grid.blocks(&queries) {
            let part = |x: &Float<B>| x.clone().part(2, block.keys.clone());
            let keys_and_values = [part(&key), part(&value)];
            let [d_row, d_key, d_value] = pass.block(&rows, keys_and_values, &queries, &block);
            d_rows = Some(added(d_rows, d_row));
            let d_block = &mut d_blocks[block.index];
            *d_block = Some(match d_block.take() {
                None => [d_key, d_value],
                Some([d_keys, d_values]) => [d_keys + d_key, d_values + d_value],
            });
        }
        let d_rows = d_rows.expect("a query sees its own key");
        let d_rows = heads_of_rows(d_rows.scale(config.scale), &queries, sizes);
        d_queries.push(d_rows.cast(dtype));
    }
    let [d_key, d_value] = pass.joined(d_blocks, dtype, &key);
    let gradients = [Float::cat(d_queries, 2), d_key, d_value];
    let d_sinks = d_sinks
        .zip(sinks)
        .map(|(sum, sinks)| sum.cast(sinks.dtype()));
    (gradients, d_sinks)
}

fn added<B: Backend>(sum: Option<Float<B>>, term: Float<B>) -> Float<B> {
    match sum {
        None => term,
        Some(sum) => sum + term,
    }
}

/// What all blocks share.
struct Pass<'a> {
    grid: Grid,
    config: &'a AttentionConfig,
    /// See [`Products::dtype`].
    dtype: DType,
}

/// Rows of some queries, `[batch, n_kv_heads, group · rows, head_dim]`, and numbers of each row.
struct Rows<B: Backend> {
    /// In the type of products.
    query: Float<B>,
    /// Times the scale, in the type of sums.
    scaled: Float<B>,
    /// The gradient of the output, in the type of products.
    grad: Float<B>,
    /// The same in the type of sums.
    wide_grad: Float<B>,
    /// `rowsum(O ∘ dO)`, `[batch, n_kv_heads, group · rows, 1]`.
    along: Float<B>,
    /// `[batch, n_kv_heads, group · rows, 1]`
    log_sum_exp: Float<B>,
}

impl Pass<'_> {
    /// What some queries take from the gradient of each sink, `[n_heads]`: the sum of `p · rowsum(P ∘ dP)` over them, with `p`
    /// the sink's weight. `sinks` are those of the rows.
    fn sinks<B: Backend>(&self, sinks: Float<B>, rows: &Rows<B>, n_queries: usize) -> Float<B> {
        let Sizes { batch, n_heads, .. } = self.grid.sizes;
        let weights = (sinks - rows.log_sum_exp.clone()).exp();
        (weights * rows.along.clone())
            .reshape([batch, n_heads, n_queries])
            .sum(2)
            .sum(0)
            .reshape([n_heads])
    }

    /// The gradients of keys and of values, joined from those of their blocks. `None` stands for a block that no query sees,
    /// because it lies before all windows.
    fn joined<B: Backend>(
        &self,
        d_blocks: Vec<Option<[Float<B>; 2]>>,
        dtype: DType,
        key: &Float<B>,
    ) -> [Float<B>; 2] {
        let sizes = &self.grid.sizes;
        let (mut d_keys, mut d_values) = (Vec::new(), Vec::new());
        for (index, d_block) in d_blocks.into_iter().enumerate() {
            let n_keys = self.grid.keys(index).len();
            let dims = [sizes.batch, sizes.n_kv_heads, n_keys, sizes.head_dim];
            let unseen = || Float::zeros(dims, wide(dtype), key);
            let [d_key, d_value] = d_block.unwrap_or_else(|| [unseen(), unseen()]);
            d_keys.push(d_key.scale(self.config.scale).cast(dtype));
            d_values.push(d_value.cast(dtype));
        }
        [d_keys, d_values].map(|parts| Float::cat(parts, 2))
    }

    /// What all blocks of some queries need, computed once.
    fn rows<B: Backend>(
        &self,
        [query, output, grad]: [Float<B>; 3],
        log_sum_exp: Float<B>,
    ) -> Rows<B> {
        let wide_grad = grad.clone().wide();
        Rows {
            scaled: query.clone().wide().scale(self.config.scale),
            query: query.cast(self.dtype),
            grad: grad.cast(self.dtype),
            along: (output.wide() * wide_grad.clone()).sum(3),
            wide_grad,
            log_sum_exp,
        }
    }

    /// The parts that a block has in the gradients of queries, keys and values, without the scale, in the type that sums are
    /// computed in.
    fn block<B: Backend>(
        &self,
        rows: &Rows<B>,
        [keys, values]: [Float<B>; 2],
        queries: &Range<usize>,
        block: &Block,
    ) -> [Float<B>; 3] {
        let scores = scores(rows.scaled.clone(), keys.clone().wide(), self.config);
        let slope = slope_of_cap(&scores, self.config.softcap);
        let scores = hide_unseen(scores, queries, block, &self.grid);
        let weights = (scores - rows.log_sum_exp.clone()).exp();
        let d_weights = rows.wide_grad.clone().matmul(values.wide().swap(2, 3)); // [b, kv, g·rows, keys]
        let d_scores = weights.clone() * (d_weights - rows.along.clone());
        let d_scores = through_cap(d_scores, slope);

        let [weights, d_scores] = [weights, d_scores].map(|x| x.cast(self.dtype));
        [
            d_scores.clone().matmul(keys.cast(self.dtype)),
            d_scores.swap(2, 3).matmul(rows.query.clone()),
            weights.swap(2, 3).matmul(rows.grad.clone()),
        ]
        .map(Float::wide)
    }
}
