//! The forward pass of the loss: a running log-sum-exp over tiles of logits.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::rows::{indices, rows_from};
use crate::flex::matrix::multiply;
use crate::flex::simd;
use crate::flex::softcap::Cap;
use crate::flex::view::{View, contiguous};
use crate::flex::weight::Weight;

/// Rows per task.
const ROWS: usize = 256;
/// Tokens per tile of logits; with [`ROWS`] rows, a tile takes 512 KiB.
const TOKENS: usize = 512;

/// The losses of [`crate::linear_nll`], and the log-sum-exp of each row's logits.
pub(in crate::flex) fn linear_nll(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &FlexTensor,
    softcap: Option<f64>,
) -> (FlexTensor, FlexTensor) {
    let targets = indices(targets);
    let (hidden, weight) = (View::<2>::new(hidden), Weight::new(weight));
    let [n_rows, size] = hidden.dims;
    let [vocab, _] = weight.dims();
    let cap = softcap.map(|cap| Cap::new(cap, 1.0));
    let mut losses = vec![0f32; n_rows];
    let mut log_sum_exp = vec![0f32; n_rows];
    let tasks = losses
        .par_chunks_mut(ROWS)
        .zip(log_sum_exp.par_chunks_mut(ROWS));
    tasks.enumerate().for_each_init(
        || (vec![0f32; ROWS * TOKENS], Vec::new()),
        |(logits, widened), (task, (losses, log_sum_exp))| {
            let start = task * ROWS;
            let n = losses.len();
            let mut running = RunningLosses::new();
            for first in (0..vocab).step_by(TOKENS) {
                let n_tokens = TOKENS.min(vocab - first);
                multiply(
                    [n, n_tokens, size],
                    rows_from(&hidden, start),
                    weight.rows(first, n_tokens, widened).transposed(),
                    logits,
                    TOKENS,
                    false,
                );
                for row in 0..n {
                    let line = &mut logits[row * TOKENS..][..n_tokens];
                    if let Some(cap) = cap {
                        cap.apply(line);
                    }
                    running.add(row, line, targets[start + row].checked_sub(first));
                }
            }
            for row in 0..n {
                (losses[row], log_sum_exp[row]) = running.finish(row);
            }
        },
    );
    (
        contiguous(losses, vec![n_rows]),
        contiguous(log_sum_exp, vec![n_rows]),
    )
}

/// What the tiles so far say of the losses of some rows.
struct RunningLosses {
    /// The largest logit of each row.
    maxima: [f32; ROWS],
    /// The sum of exponentials of each row, relative to that of the largest logit.
    totals: [f32; ROWS],
    /// The logit of each target.
    chosen: [f32; ROWS],
}

impl RunningLosses {
    fn new() -> Self {
        Self {
            maxima: [f32::NEG_INFINITY; ROWS],
            totals: [0.0; ROWS],
            chosen: [f32::NAN; ROWS],
        }
    }

    /// Adds a tile of a row. The target may lie beyond the tile, or be `None` before it.
    fn add(&mut self, row: usize, logits: &[f32], target: Option<usize>) {
        let max = simd::max(logits);
        if max > self.maxima[row] {
            self.totals[row] *= (self.maxima[row] - max).exp();
            self.maxima[row] = max;
        }
        self.totals[row] += simd::exp_sum(logits, self.maxima[row]);
        if let Some(logit) = target.and_then(|target| logits.get(target)) {
            self.chosen[row] = *logit;
        }
    }

    /// The loss of a row, and the log-sum-exp of its logits.
    fn finish(&self, row: usize) -> (f32, f32) {
        let total = self.totals[row].ln();
        (
            total + (self.maxima[row] - self.chosen[row]),
            self.maxima[row] + total,
        )
    }
}
