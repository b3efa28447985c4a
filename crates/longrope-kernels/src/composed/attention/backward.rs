//! The backward pass.

use burn::tensor::DType;

use super::blocks::{Grid, Sizes};
use super::gradients::RowResults;
use super::rows::{heads_of_rows, rows_of_groups, sinks_of_rows};
use super::view::{View, Views};
use crate::attention::config::AttentionConfig;
use crate::composed::ops::{Float, wide};
use crate::composed::products::Products;
use crate::composed::steps::Steps;

/// Gradients of [`attention`](super::attention) with respect to queries, keys and values, and to the sinks if there are any.
/// `output` and `log_sum_exp` are its results, and `grad` is the gradient of the output.
///
/// With `P` the softmax of the scores `S = scale · Q Kᵀ`: `dV = Pᵀ dO`, `dP = dO Vᵀ`, `dS = P ∘ (dP - rowsum(P ∘ dP))`
/// times the slope of the soft cap, `dQ = scale · dS K`, `dK = scale · dSᵀ Q`. A sink is a score without a value, so its
/// `dP` is 0, and its gradient is the sum of `-p · rowsum(P ∘ dP)` over all queries, with `p` the sink's weight.
///
/// `rowsum(P ∘ dP)` is `rowsum(O ∘ dO)`, and `P` is `exp(S - log_sum_exp)`. So a block of scores depends on no other block,
/// and the passes over it are few: they are most of the traffic on a GPU.
pub(crate) fn attention_backward<B: Steps>(
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
        let rows = Pass::rows(inputs, of_rows(&column));
        if let Some(sinks) = &sinks {
            let sinks = sinks_of_rows(sinks, dtype, queries.len(), sizes);
            let of_heads = pass.sinks(sinks, &rows, queries.len());
            d_sinks = d_sinks.map(|sum| sum - of_heads);
        }
        let mut views = Views::new(&grid.visible, config, &queries, &key);
        let mut d_rows: Option<Float<B>> = None;
        for block in grid.blocks(&queries) {
            let part = |x: &Float<B>| x.clone().part(2, block.keys.clone());
            let keys_and_values = [part(&key), part(&value)];
            let [d_row, d_key, d_value] = pass.block(&rows, keys_and_values, &views.of(&block));
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

fn added<B: Steps>(sum: Option<Float<B>>, term: Float<B>) -> Float<B> {
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
struct Rows<B: Steps> {
    query: Float<B>,
    /// The gradient of the output.
    grad: Float<B>,
    results: RowResults<B>,
}

impl Pass<'_> {
    /// What some queries take from the gradient of each sink, `[n_heads]`: the sum of `p · rowsum(P ∘ dP)` over them, with `p`
    /// the sink's weight. `sinks` are those of the rows.
    fn sinks<B: Steps>(&self, sinks: Float<B>, rows: &Rows<B>, n_queries: usize) -> Float<B> {
        let Sizes { batch, n_heads, .. } = self.grid.sizes;
        let weights = (sinks - rows.results.log_sum_exp.clone()).exp();
        (weights * rows.results.along.clone())
            .reshape([batch, n_heads, n_queries])
            .sum(2)
            .sum(0)
            .reshape([n_heads])
    }

    /// The gradients of keys and of values, joined from those of their blocks. `None` stands for a block that no query sees,
    /// because it lies before all windows.
    fn joined<B: Steps>(
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
    fn rows<B: Steps>([query, output, grad]: [Float<B>; 3], log_sum_exp: Float<B>) -> Rows<B> {
        let along = (output.wide() * grad.clone().wide()).sum(3);
        Rows {
            query,
            grad,
            results: RowResults { log_sum_exp, along },
        }
    }

    /// The parts that a block has in the gradients of queries, keys and values, without the scale, in the type that sums are
    /// computed in.
    fn block<B: Steps>(
        &self,
        rows: &Rows<B>,
        [keys, values]: [Float<B>; 2],
        view: &View<B>,
    ) -> [Float<B>; 3] {
        let scores = B::product(rows.query.clone(), keys.clone().swap(2, 3));
        let d_weights = B::product(rows.grad.clone(), values.swap(2, 3)); // [b, kv, g·rows, keys]
        let results = rows.results.clone();
        let [weights, d_scores] =
            B::gradients_of_scores(scores, d_weights, results, view, self.dtype);
        let operand = |x: Float<B>| x.cast(self.dtype);
        [
            B::product(d_scores.clone(), operand(keys)),
            B::product(d_scores.swap(2, 3), operand(rows.query.clone())),
            B::product(weights.swap(2, 3), operand(rows.grad.clone())),
        ]
    }
}
