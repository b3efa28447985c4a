//! Losses: a running log-sum-exp over tiles of logits.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::rows::{indices, rows_from};
use crate::flex::matrix::multiply;
use crate::flex::simd;
use crate::flex::view::{View, contiguous};

/// Rows of a task.
const ROWS: usize = 256;
/// Words of a tile of logits: with [`ROWS`] rows, 512 KiB.
const WORDS: usize = 512;

/// The losses of [`crate::linear_nll`], and the logarithm of each row's sum of exponentials.
pub(in crate::flex) fn linear_nll(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &FlexTensor,
) -> (FlexTensor, FlexTensor) {
    let targets = indices(targets);
    let (hidden, weight) = (View::<2>::new(hidden), View::<2>::new(weight));
    let [n_rows, size] = hidden.dims;
    let [vocab, _] = weight.dims;
    let mut losses = vec![0f32; n_rows];
    let mut log_sum_exp = vec![0f32; n_rows];
    let tasks = losses
        .par_chunks_mut(ROWS)
        .zip(log_sum_exp.par_chunks_mut(ROWS));
    tasks.enumerate().for_each_init(
        || vec![0f32; ROWS * WORDS],
        |logits, (task, (losses, log_sum_exp))| {
            let start = task * ROWS;
            let n = losses.len();
            let mut maxima = [f32::NEG_INFINITY; ROWS];
            let mut totals = [0f32; ROWS];
            let mut chosen = [f32::NAN; ROWS];
            for first in (0..vocab).step_by(WORDS) {
                let n_words = WORDS.min(vocab - first);
                multiply(
                    [n, n_words, size],
                    rows_from(&hidden, start),
                    rows_from(&weight, first).transposed(),
                    logits,
                    WORDS,
                    false,
                );
                for row in 0..n {
                    let line = &logits[row * WORDS..][..n_words];
                    let max = simd::max(line);
                    if max > maxima[row] {
                        totals[row] *= (maxima[row] - max).exp();
                        maxima[row] = max;
                    }
                    totals[row] += simd::exp_sum(line, maxima[row]);
                    let target = targets[start + row];
                    if (first..first + n_words).contains(&target) {
                        chosen[row] = line[target - first];
                    }
                }
            }
            for row in 0..n {
                let total = totals[row].ln();
                losses[row] = total + (maxima[row] - chosen[row]);
                log_sum_exp[row] = maxima[row] + total;
            }
        },
    );
    (
        contiguous(losses, vec![n_rows]),
        contiguous(log_sum_exp, vec![n_rows]),
    )
}
