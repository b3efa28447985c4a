//! The forward pass, with an online softmax.
//!
//! A task iterates over the tiles of keys that its block sees. For each row it keeps the maximum, the sum of
//! exponentials and the weighted sum of values so far, and rescales them when the maximum increases (Milakov and
//! Gimelshein, arXiv 1805.02867; Dao et al., arXiv 2205.14135). Tasks are independent, so results do not depend on the
//! number of threads.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::block::{Block, KEYS, SCORE_UNIT, queries_per_block};
use super::sinks::scaled_sinks;
use super::tiles::{Tiles, tiles_over};
use crate::attention::config::AttentionConfig;
use crate::attention::visible::Visible;
use crate::flex::shared::SharedRows;
use crate::flex::simd;
use crate::flex::softcap::Cap;
use crate::flex::view::{View, contiguous, strided};

/// Attention over `[batch, heads, seq, head_dim]`, and the base-2 log-sum-exp of each query's scores and its sink,
/// `[batch, heads, seq]`.
///
/// The result is stored as `[batch, seq, heads, head_dim]` with permuted strides, so that joining the heads needs no
/// copy.
pub(in crate::flex) fn attention(
    [query, key, value]: [&FlexTensor; 3],
    sinks: Option<&FlexTensor>,
    config: &AttentionConfig,
) -> (FlexTensor, FlexTensor) {
    let (query, key, value) = (
        View::<4>::new(query),
        View::<4>::new(key),
        View::<4>::new(value),
    );
    let [batch, n_heads, seq_q, head_dim] = query.dims;
    let [_, n_kv_heads, seq_kv, _] = key.dims;
    let sinks = sinks.map(scaled_sinks);
    let visible = Visible::new(config, seq_q, seq_kv);
    let n_queries = queries_per_block(n_heads / n_kv_heads, seq_q);
    let n_rows = seq_q * n_heads / n_kv_heads;
    let (keys, values) = (Tiles::new(&key, n_rows), Tiles::new(&value, 0));
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the kernel computes in f32"
    )]
    let scale = (config.scale * SCORE_UNIT) as f32;
    let cap = config.softcap.map(|cap| Cap::new(cap, SCORE_UNIT));

    let mut out = vec![0f32; batch * seq_q * n_heads * head_dim];
    let mut log_sum_exp = vec![0f32; batch * n_heads * seq_q];
    let out_rows = SharedRows::new(&mut out);
    let sum_rows = SharedRows::new(&mut log_sum_exp);
    // The last blocks see the most keys. They start first, so that no core has to finish a long block alone.
    let n_tasks = seq_q.div_ceil(n_queries) * batch * n_kv_heads;
    (0..n_tasks).into_par_iter().with_max_len(1).for_each_init(
        || Scratch::new(n_queries * n_heads / n_kv_heads, head_dim),
        |scratch, task| {
            let block = Block::nth(n_tasks - 1 - task, n_queries, &query, n_kv_heads);
            block.load(&query, scale, &mut scratch.queries);
            attend(&keys, &values, cap, &visible, &block, scratch);
            for (row, head, position) in block.rows() {
                let from = &scratch.sums[row * head_dim..][..head_dim];
                let b = block.sequence;
                let sink = sinks.as_ref().map(|sinks| sinks[head]);
                let (factor, sum) = finish(scratch.maxima[row], scratch.totals[row], sink);
                let to = ((b * seq_q + position) * n_heads + head) * head_dim;
                let sum_to = (b * n_heads + head) * seq_q + position;
                // SAFETY: every (sequence, head, position) belongs to exactly one task.
                #[expect(unsafe_code, reason = "disjoint rows of shared buffers")]
                let (to, sum_to) = unsafe { (out_rows.row(to, head_dim), sum_rows.row(sum_to, 1)) };
                simd::scale_into(to, from, factor);
                sum_to[0] = sum;
            }
        },
    );

    let [d, hd, l] = [head_dim, n_heads * head_dim, seq_q].map(usize::cast_signed);
    let dims = vec![batch, n_heads, seq_q, head_dim];
    (
        strided(out, dims, vec![l * hd, d, hd, 1]),
        contiguous(log_sum_exp, vec![batch, n_heads, seq_q]),
    )
}

/// The factor that turns the weighted sum of values into the output, and the base-2 log-sum-exp, for scores with maximum
/// `max` and `total = Σ 2^(s - max)`. A sink is one more score, whose value is 0.
fn finish(max: f32, total: f32, sink: Option<f32>) -> (f32, f32) {
    let Some(sink) = sink else {
        return (1.0 / total, max + total.log2());
    };
    let top = max.max(sink);
    let rest = (max - top).exp2();
    let total = total * rest + (sink - top).exp2();
    (rest / total, top + total.log2())
}

/// Working memory of a thread, for the rows of one block.
struct Scratch {
    queries: Vec<f32>,
    scores: Vec<f32>,
    sums: Vec<f32>,
    maxima: Vec<f32>,
    totals: Vec<f32>,
}

impl Scratch {
    fn new(rows: usize, head_dim: usize) -> Self {
        Self {
            queries: vec![0.0; rows * head_dim],
            scores: vec![0.0; rows * KEYS],
            sums: vec![0.0; rows * head_dim],
            maxima: vec![0.0; rows],
            totals: vec![0.0; rows],
        }
    }
}

/// Writes the weighted sums of values to `scratch.sums`, and the sums of the weights to `scratch.totals`.
fn attend(
    keys: &Tiles,
    values: &Tiles,
    cap: Option<Cap>,
    visible: &Visible,
    block: &Block,
    scratch: &mut Scratch,
) {
    let [_, _, seq_kv, head_dim] = keys.view.dims;
    let n_rows = block.n_rows();
    scratch.sums[..n_rows * head_dim].fill(0.0);
    scratch.maxima[..n_rows].fill(f32::NEG_INFINITY);
    scratch.totals[..n_rows].fill(0.0);

    let seen_keys = visible.keys_of_block(block.sequence, &block.queries);
    for tile in tiles_over(&seen_keys) {
        let first = tile * KEYS;
        let n_keys = KEYS.min(seq_kv - first);
        for band in block.bands(visible, first, n_keys) {
            let scores = &mut scratch.scores[..];
            band.multiply(
                &scratch.queries,
                keys.columns(block, tile),
                head_dim,
                scores,
            );
            for row in band.rows.clone() {
                let seen = band.seen(visible, block, row, first);
                let line = &mut scores[row * KEYS..][..band.n_keys];
                line[..seen.start].fill(0.0);
                line[seen.end..].fill(0.0);
                let line = &mut line[seen];
                if line.is_empty() {
                    continue;
                }
                if let Some(cap) = cap {
                    cap.apply(line);
                }
                let max = simd::max(line);
                if max > scratch.maxima[row] {
                    let factor = (scratch.maxima[row] - max).exp2();
                    scratch.maxima[row] = max;
                    scratch.totals[row] *= factor;
                    simd::scale_in_place(&mut scratch.sums[row * head_dim..][..head_dim], factor);
                }
                scratch.totals[row] += simd::exp2_sum_in_place(line, scratch.maxima[row]);
            }
            band.add_rows(
                scores,
                values.rows(block, tile),
                head_dim,
                &mut scratch.sums,
            );
        }
    }
}
