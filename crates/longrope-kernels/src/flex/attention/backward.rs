//! The backward pass.
//!
//! From the saved log-sum-exp of each row, a tile of the softmax is recomputed with one product and one exponential.
//! All five products of the backward pass are computed while the tile is in cache (Dao et al., arXiv 2205.14135,
//! algorithm 4).
//!
//! Each task handles one block of queries and iterates over the tiles of keys that the block sees. It alone writes the
//! gradient of its queries. The gradients of keys and values are sums over all blocks: at each tile, tasks add their
//! part in the order of their blocks. Tasks also start in that order, so they rarely have to wait. The result does not
//! depend on the number of threads.

use burn_flex::FlexTensor;

use super::block::{Band, Block, KEYS, SCORE_UNIT, queries_per_block};
use super::tiles::{Tiles, tiles_over};
use crate::attention::config::AttentionConfig;
use crate::attention::visible::Visible;
use crate::flex::shared::{InTurns, SharedRows};
use crate::flex::simd;
use crate::flex::softcap::Cap;
use crate::flex::view::{View, contiguous, strided};

/// Gradients of queries, keys and values; `grad` is the gradient of the output.
///
/// `output` and `log_sum_exp` are the results of the forward pass.
pub(in crate::flex) fn attention_backward(
    [query, key, value]: [&FlexTensor; 3],
    output: &FlexTensor,
    log_sum_exp: &FlexTensor,
    grad: &FlexTensor,
    config: &AttentionConfig,
) -> [FlexTensor; 3] {
    let (query, key, value) = (View::new(query), View::new(key), View::new(value));
    let [batch, n_heads, seq_q, head_dim] = query.dims;
    let [_, n_kv_heads, seq_kv, _] = key.dims;
    let inputs = Inputs::new(query, [&key, &value], output, log_sum_exp, grad, config);
    let mut d_query = vec![0f32; batch * seq_q * n_heads * head_dim];
    let mut d_key = vec![0f32; batch * n_kv_heads * seq_kv * head_dim];
    let mut d_value = d_key.clone();
    let visible = Visible::new(config, seq_q, seq_kv);
    let order = TileOrder {
        batch,
        n_kv_heads,
        seq_q,
        n_queries: queries_per_block(n_heads / n_kv_heads, seq_q),
        n_tiles: seq_kv.div_ceil(KEYS),
    };
    BackwardPass {
        turns: InTurns::new(order.first_turns(&visible)),
        inputs,
        visible,
        order,
        d_query: SharedRows::new(&mut d_query),
        d_key: SharedRows::new(&mut d_key),
        d_value: SharedRows::new(&mut d_value),
    }
    .run();

    let [d, hd, l] = [head_dim, n_heads * head_dim, seq_q].map(usize::cast_signed);
    let dims = vec![batch, n_heads, seq_q, head_dim];
    let kv_dims = vec![batch, n_kv_heads, seq_kv, head_dim];
    [
        strided(d_query, dims, vec![l * hd, d, hd, 1]),
        contiguous(d_key, kv_dims.clone()),
        contiguous(d_value, kv_dims),
    ]
}

/// What all tasks read, and the gradients that they write.
struct BackwardPass<'a> {
    inputs: Inputs<'a>,
    visible: Visible,
    order: TileOrder,
    turns: InTurns,
    /// `[batch, seq, heads, head_dim]`
    d_query: SharedRows<'a>,
    /// `[batch, kv_heads, seq, head_dim]`
    d_key: SharedRows<'a>,
    /// `[batch, kv_heads, seq, head_dim]`
    d_value: SharedRows<'a>,
}

impl BackwardPass<'_> {
    /// Runs one task per block.
    fn run(self) {
        let TileOrder {
            batch,
            n_kv_heads,
            n_queries,
            ..
        } = self.order;
        let [_, n_heads, _, head_dim] = self.inputs.query.dims;
        let n_tasks = self.order.n_blocks() * batch * n_kv_heads;
        self.turns.run(
            n_tasks,
            || Scratch::new(n_queries * n_heads / n_kv_heads, head_dim),
            |scratch, task| {
                let nth = n_tasks - 1 - task;
                let block = Block::nth(nth, n_queries, &self.inputs.query, n_kv_heads);
                self.differentiate(&block, scratch);
            },
        );
    }

    /// Writes the gradient of the queries of a block, and adds to the gradients of the keys and values that it sees.
    fn differentiate(&self, block: &Block, scratch: &mut Scratch) {
        let [_, _, seq_kv, _] = self.inputs.keys.view.dims;
        scratch.load(&self.inputs, block);
        let keys = self.visible.keys_of_block(block.sequence, &block.queries);
        for tile in tiles_over(&keys) {
            let n_keys = KEYS.min(seq_kv - tile * KEYS);
            scratch.tile(&self.inputs, &self.visible, block, tile, n_keys);
            self.add_to_keys(block, tile, n_keys, scratch);
        }
        self.write_queries(block, scratch);
    }

    /// Adds to the gradients of the keys and values of a tile, when it is the turn of the block.
    fn add_to_keys(&self, block: &Block, tile: usize, n_keys: usize, scratch: &Scratch) {
        let [_, n_kv_heads, seq_kv, _] = self.inputs.keys.view.dims;
        let head_dim = self.inputs.query.dims[3];
        let head = block.sequence * n_kv_heads + block.kv_head;
        let turn = self
            .order
            .turn_of(block.queries.start / self.order.n_queries);
        let at = (head * seq_kv + tile * KEYS) * head_dim;
        let n = n_keys * head_dim;
        self.turns.take(self.order.slot(head, tile), turn, || {
            // SAFETY: only tasks of this head access these rows, and only the one whose turn it is.
            #[expect(unsafe_code, reason = "rows written in turns")]
            let (d_key, d_value) = unsafe { (self.d_key.row(at, n), self.d_value.row(at, n)) };
            scratch.add_to_keys(head_dim, d_key, d_value);
        });
    }

    /// Writes the gradient of the queries of a block.
    fn write_queries(&self, block: &Block, scratch: &Scratch) {
        let [_, n_heads, seq_q, head_dim] = self.inputs.query.dims;
        for (row, head, position) in block.rows() {
            let from = &scratch.d_queries[row * head_dim..][..head_dim];
            let to = ((block.sequence * seq_q + position) * n_heads + head) * head_dim;
            // SAFETY: every (sequence, head, position) belongs to exactly one task.
            #[expect(unsafe_code, reason = "disjoint rows of one buffer")]
            let to = unsafe { self.d_query.row(to, head_dim) };
            simd::scale_into(to, from, self.inputs.scale);
        }
    }
}

/// The blocks of queries and the tiles of keys, and in which order the blocks add to a tile.
struct TileOrder {
    batch: usize,
    n_kv_heads: usize,
    seq_q: usize,
    /// Queries of a block.
    n_queries: usize,
    /// Tiles of a head.
    n_tiles: usize,
}

impl TileOrder {
    fn n_blocks(&self) -> usize {
        self.seq_q.div_ceil(self.n_queries)
    }

    /// Blocks are processed from the last, which sees the most keys, to the first.
    fn turn_of(&self, block: usize) -> usize {
        self.n_blocks() - 1 - block
    }

    /// The slot of a tile of a head, where heads are counted across sequences.
    fn slot(&self, head: usize, tile: usize) -> usize {
        head * self.n_tiles + tile
    }

    /// The first turn of each slot: that of the last block that sees the tile.
    fn first_turns(&self, visible: &Visible) -> Vec<usize> {
        let mut turns = vec![0; self.batch * self.n_kv_heads * self.n_tiles];
        for sequence in 0..self.batch {
            for block in 0..self.n_blocks() {
                let start = block * self.n_queries;
                let queries = start..(start + self.n_queries).min(self.seq_q);
                let seen = visible.keys_of_block(sequence, &queries);
                for tile in tiles_over(&seen) {
                    for kv_head in 0..self.n_kv_heads {
                        let head = sequence * self.n_kv_heads + kv_head;
                        turns[self.slot(head, tile)] = self.turn_of(block);
                    }
                }
            }
        }
        turns
    }
}

/// The inputs of the backward pass.
struct Inputs<'a> {
    query: View<'a, 4>,
    keys: Tiles<'a>,
    values: Tiles<'a>,
    output: View<'a, 4>,
    grad: View<'a, 4>,
    log_sum_exp: View<'a, 3>,
    scale: f32,
    /// `scale` times [`SCORE_UNIT`].
    score_scale: f32,
    /// The soft cap of scores in units of [`SCORE_UNIT`].
    cap: Option<Cap>,
}

impl<'a> Inputs<'a> {
    fn new(
        query: View<'a, 4>,
        [key, value]: [&'a View<'a, 4>; 2],
        output: &'a FlexTensor,
        log_sum_exp: &'a FlexTensor,
        grad: &'a FlexTensor,
        config: &AttentionConfig,
    ) -> Self {
        let ([_, n_heads, seq_q, _], [_, n_kv_heads, ..]) = (query.dims, key.dims);
        let n_rows = seq_q * n_heads / n_kv_heads;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the kernel computes in f32"
        )]
        let (scale, score_scale) = (config.scale as f32, (config.scale * SCORE_UNIT) as f32);
        Self {
            query,
            keys: Tiles::new(key, n_rows),
            values: Tiles::new(value, n_rows),
            output: View::new(output),
            grad: View::new(grad),
            log_sum_exp: View::new(log_sum_exp),
            scale,
            score_scale,
            cap: config.softcap.map(|cap| Cap::new(cap, SCORE_UNIT)),
        }
    }
}

/// Working memory of a thread, for the rows of one block.
struct Scratch {
    /// Queries times `score_scale`.
    score_queries: Vec<f32>,
    /// Queries times `scale`.
    queries: Vec<f32>,
    /// Gradients of the outputs.
    grads: Vec<f32>,
    d_queries: Vec<f32>,
    /// The softmax, `P`.
    weights: Vec<f32>,
    /// The gradient of the softmax, `dP`, then the gradient of the scores, `dS`.
    d_scores: Vec<f32>,
    /// `rowsum(dO ∘ O)`, which is `rowsum(P ∘ dP)`.
    along: Vec<f32>,
    /// The slopes of the soft cap in one row.
    slopes: Vec<f32>,
    log_sum_exp: Vec<f32>,
    /// The bands of the current tile.
    bands: Vec<Band>,
}

impl Scratch {
    fn new(rows: usize, head_dim: usize) -> Self {
        Self {
            score_queries: vec![0.0; rows * head_dim],
            queries: vec![0.0; rows * head_dim],
            grads: vec![0.0; rows * head_dim],
            d_queries: vec![0.0; rows * head_dim],
            weights: vec![0.0; rows * KEYS],
            d_scores: vec![0.0; rows * KEYS],
            along: vec![0.0; rows],
            slopes: vec![0.0; KEYS],
            log_sum_exp: vec![0.0; rows],
            bands: Vec::new(),
        }
    }

    /// Copies the rows of a block.
    fn load(&mut self, inputs: &Inputs, block: &Block) {
        let head_dim = inputs.query.dims[3];
        block.load(&inputs.query, inputs.score_scale, &mut self.score_queries);
        block.load(&inputs.query, inputs.scale, &mut self.queries);
        block.load(&inputs.grad, 1.0, &mut self.grads);
        self.d_queries[..block.n_rows() * head_dim].fill(0.0);
        let mut scratch = Vec::new();
        for (row, head, query) in block.rows() {
            let output = inputs
                .output
                .row([block.sequence, head, query, 0], &mut scratch);
            self.along[row] = simd::dot(output, &self.grads[row * head_dim..][..head_dim]);
            self.log_sum_exp[row] = inputs.log_sum_exp.from([block.sequence, head, query])[0];
        }
    }

    /// Computes `P` and `dS` of a tile, and adds to the gradient of the queries.
    fn tile(
        &mut self,
        inputs: &Inputs,
        visible: &Visible,
        block: &Block,
        tile: usize,
        n_keys: usize,
    ) {
        let head_dim = inputs.query.dims[3];
        let first = tile * KEYS;
        self.bands = block.bands(visible, first, n_keys);
        for band in &self.bands {
            let keys = inputs.keys.columns(block, tile);
            band.multiply(&self.score_queries, keys, head_dim, &mut self.weights);
            let values = inputs.values.columns(block, tile);
            band.multiply(&self.grads, values, head_dim, &mut self.d_scores);
            for row in band.rows.clone() {
                let seen = band.seen(visible, block, row, first);
                let weights = &mut self.weights[row * KEYS..][..band.n_keys];
                let d_scores = &mut self.d_scores[row * KEYS..][..band.n_keys];
                for line in [&mut *weights, &mut *d_scores] {
                    line[..seen.start].fill(0.0);
                    line[seen.end..].fill(0.0);
                }
                let (weights, d_scores) = (&mut weights[seen.clone()], &mut d_scores[seen]);
                let slopes = &mut self.slopes[..weights.len()];
                if let Some(cap) = inputs.cap {
                    cap.apply_with_slopes(weights, slopes);
                }
                let (log_sum_exp, along) = (self.log_sum_exp[row], self.along[row]);
                simd::softmax_backward(weights, d_scores, log_sum_exp, along);
                if inputs.cap.is_some() {
                    simd::multiply_in_place(d_scores, slopes);
                }
            }
            let keys = inputs.keys.rows(block, tile);
            band.add_rows(&self.d_scores, keys, head_dim, &mut self.d_queries);
        }
    }

    /// Adds `dSᵀ Q` and `Pᵀ dO` of the tile to the gradients of its keys and values.
    fn add_to_keys(&self, head_dim: usize, d_key: &mut [f32], d_value: &mut [f32]) {
        for band in &self.bands {
            band.add_keys(&self.weights, &self.grads, head_dim, d_value);
            band.add_keys(&self.d_scores, &self.queries, head_dim, d_key);
        }
    }
}
