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
    let (hidden, weight) = (View::<2>::new(hidden), Weight::new(weight));
    let [n_rows, size] = hidden.dims;
    let [vocab, _] = weight.dims();
    let mut d_hidden = vec![0f32; n_rows * size];
    let mut d_weight = vec![0f32; if needs_weight { vocab * size } else { 0 }];
    BackwardPass {
        hidden,
        weight,
        targets: indices(targets),
        cap: softcap.map(|cap| Cap::new(cap, 1.0)),
        log_sum_exp: View::new(log_sum_exp),
        grad: View::new(grad),
        rows_per_task: n_rows.div_ceil(TASKS).clamp(FEWEST_ROWS, ROWS),
        turns: InTurns::new(vec![0; vocab.div_ceil(TOKENS)]),
        d_hidden: SharedRows::new(&mut d_hidden),
        d_weight: needs_weight.then(|| SharedRows::new(&mut d_weight)),
    }
    .run();
    let d_weight = needs_weight.then(|| contiguous(d_weight, vec![vocab, size]));
    (contiguous(d_hidden, vec![n_rows, size]), d_weight)
}

/// What all tasks read, and the gradients that they write.
struct BackwardPass<'a> {
    hidden: View<'a, 2>,
    weight: Weight<'a>,
    targets: Vec<usize>,
    cap: Option<Cap>,
    log_sum_exp: View<'a, 1>,
    /// The gradient of each loss.
    grad: View<'a, 1>,
    rows_per_task: usize,
    /// One slot per tile.
    turns: InTurns,
    d_hidden: SharedRows<'a>,
    /// If the gradient of the weight is needed.
    d_weight: Option<SharedRows<'a>>,
}

/// Working memory of a thread.
struct Scratch {
    /// Logits of a tile, then their gradients.
    logits: Vec<f32>,
    /// The slopes of the soft cap in one row.
    slopes: [f32; TOKENS],
    /// Rows of the weight in `f32`.
    widened: Vec<f32>,
}

impl BackwardPass<'_> {
    /// Runs one task per block of rows.
    fn run(self) {
        let [n_rows, _] = self.hidden.dims;
        self.turns.run(
            n_rows.div_ceil(self.rows_per_task),
            || Scratch {
                logits: vec![0.0; self.rows_per_task * TOKENS],
                slopes: [0.0; TOKENS],
                widened: Vec::new(),
            },
            |scratch, task| self.differentiate(task, scratch),
        );
    }

    /// Writes the gradient of the hidden states of a task, and adds to that of the weight.
    fn differentiate(&self, task: usize, scratch: &mut Scratch) {
        let ([n_rows, size], [vocab, _]) = (self.hidden.dims, self.weight.dims());
        let start = task * self.rows_per_task;
        let n = self.rows_per_task.min(n_rows - start);
        let rows = rows_from(&self.hidden, start);
        // SAFETY: every row belongs to exactly one task.
        #[expect(unsafe_code, reason = "disjoint rows of one buffer")]
        let d_hidden = unsafe { self.d_hidden.row(start * size, n * size) };
        for tile in 0..vocab.div_ceil(TOKENS) {
            let first = tile * TOKENS;
            let n_tokens = TOKENS.min(vocab - first);
            let tokens = self.weight.rows(first, n_tokens, &mut scratch.widened);
            let logits = &mut scratch.logits;
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
                let loss = self.loss_of(start + row, first);
                loss.differentiate(line, self.cap, &mut scratch.slopes);
            }
            let d_logits = Matrix::rows(logits, TOKENS);
            multiply([n, size, n_tokens], d_logits, tokens, d_hidden, size, true);
            if let Some(d_weight) = &self.d_weight {
                self.turns.take(tile, task, || {
                    // SAFETY: only the task whose turn it is accesses the rows of this tile.
                    #[expect(unsafe_code, reason = "rows written in turns")]
                    let d_weight = unsafe { d_weight.row(first * size, n_tokens * size) };
                    let d_logits = d_logits.transposed();
                    multiply([n_tokens, size, n], d_logits, rows, d_weight, size, true);
                });
            }
        }
    }

    /// The loss of a row, at the tile that starts at token `first`.
    fn loss_of(&self, row: usize, first: usize) -> RowLoss {
        RowLoss {
            target: self.targets[row].checked_sub(first),
            log_sum_exp: self.log_sum_exp.from([row])[0],
            grad: self.grad.from([row])[0],
        }
    }
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
