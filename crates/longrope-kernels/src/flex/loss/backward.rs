//! The backward pass of the loss.
//!
//! Each task handles one block of rows and iterates over tiles of the vocabulary. It alone writes the gradient of its
//! hidden states. All tasks add to the gradient of the weight, in the order of their blocks, as in the backward pass of
//! attention.

use burn_flex::FlexTensor;

use super::rows::{indices, rows_from};
use crate::flex::matrix::{Matrix, multiply};
use crate::flex::shared::{InTurns, SharedRows};
use crate::flex::simd;
use crate::flex::softcap::Cap;
use crate::flex::view::{View, contiguous};
use crate::flex::weight::Weight;

/// Most rows per task.
const ROWS: usize = 512;
/// Fewest rows per task.
const FEWEST_ROWS: usize = 64;
/// Number of tasks from which on tasks get more rows than [`FEWEST_ROWS`].
const TASKS: usize = 8;
/// Tokens per tile of logits; with [`ROWS`] rows, a tile takes 512 KiB.
const TOKENS: usize = 256;

/// Gradients of the hidden states and, if `needs_weight`, of the weight; `grad` is the gradient of each loss.
pub(in crate::flex) fn linear_nll_backward(
    [hidden, weight]: [&FlexTensor; 2],
    targets: &FlexTensor,
    softcap: Option<f64>,
    log_sum_exp: &FlexTensor,
    grad: &FlexTensor,
    needs_weight: bool,
) -> (FlexTensor, Option<FlexTensor>) {
    let targets = indices(targets);
    let (hidden, weight) = (View::<2>::new(hidden), Weight::new(weight));
    let (log_sum_exp, grad) = (View::<1>::new(log_sum_exp), View::<1>::new(grad));
    let [n_rows, size] = hidden.dims;
    let [vocab, _] = weight.dims();
    let n_tiles = vocab.div_ceil(TOKENS);
    let cap = softcap.map(|cap| Cap::new(cap, 1.0));
    let block = n_rows.div_ceil(TASKS).clamp(FEWEST_ROWS, ROWS);

    let mut d_hidden = vec![0f32; n_rows * size];
    let mut d_weight = vec![0f32; if needs_weight { vocab * size } else { 0 }];
    let hidden_rows = SharedRows::new(&mut d_hidden);
    let weight_rows = SharedRows::new(&mut d_weight);
    let turns = InTurns::new(vec![0; n_tiles]);
    turns.run(
        n_rows.div_ceil(block),
        || (vec![0f32; block * TOKENS], [0f32; TOKENS], Vec::new()),
        |(logits, slopes, widened), task| {
            let start = task * block;
            let n = block.min(n_rows - start);
            // SAFETY: every row belongs to exactly one task.
            #[expect(unsafe_code, reason = "disjoint rows of one buffer")]
            let d_hidden = unsafe { hidden_rows.row(start * size, n * size) };
            for tile in 0..n_tiles {
                let first = tile * TOKENS;
                let n_tokens = TOKENS.min(vocab - first);
                let tokens = weight.rows(first, n_tokens, widened);
                let rows = rows_from(&hidden, start);
                multiply(
                    [n, n_tokens, size],
                    rows,
                    tokens.transposed(),
                    logits,
                    TOKENS,
                    false,
                );
                for row in 0..n {
                    let line = &mut logits[row * TOKENS..][..n_tokens];
                    let loss = RowLoss {
                        target: targets[start + row].checked_sub(first),
                        log_sum_exp: log_sum_exp.from([start + row])[0],
                        grad: grad.from([start + row])[0],
                    };
                    loss.differentiate(line, cap, slopes);
                }
                let d_logits = Matrix::rows(logits, TOKENS);
                multiply([n, size, n_tokens], d_logits, tokens, d_hidden, size, true);
                if needs_weight {
                    turns.take(tile, task, || {
                        // SAFETY: only the task whose turn it is accesses the rows of this tile.
                        #[expect(unsafe_code, reason = "rows written in turns")]
                        let d_weight = unsafe { weight_rows.row(first * size, n_tokens * size) };
                        let d_logits = d_logits.transposed();
                        multiply([n_tokens, size, n], d_logits, rows, d_weight, size, true);
                    });
                }
            }
        },
    );
    let d_weight = needs_weight.then(|| contiguous(d_weight, vec![vocab, size]));
    (contiguous(d_hidden, vec![n_rows, size]), d_weight)
}

/// The loss of one row, at a tile of its logits.
struct RowLoss {
    /// Index of the target in the tile. It may lie beyond the tile, or be `None` before it.
    target: Option<usize>,
    log_sum_exp: f32,
    /// The gradient of the loss.
    grad: f32,
}

impl RowLoss {
    /// Turns the logits of the tile, before the soft cap, into their gradients.
    fn differentiate(&self, logits: &mut [f32], cap: Option<Cap>, slopes: &mut [f32]) {
        if let Some(cap) = cap {
            cap.apply_with_slopes(logits, slopes);
        }
        simd::exp_scaled_in_place(logits, self.log_sum_exp, self.grad);
        if let Some(logit) = self.target.and_then(|target| logits.get_mut(target)) {
            *logit -= self.grad;
        }
        if cap.is_some() {
            simd::multiply_in_place(logits, slopes);
        }
    }
}
