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
            let mut maxima = [f32::NEG_INFINITY; ROWS];
            let mut totals = [0f32; ROWS];
            let mut chosen = [f32::NAN; ROWS];
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
                    let max = simd::max(line);
                    if max > maxima[row] {
                        totals[row] *= (maxima[row] - max).exp();
                        maxima[row] = max;
                    }
                    totals[row] += simd::exp_sum(line, maxima[row]);
                    let target = targets[start + row];
                    if (first..first + n_tokens).contains(&target) {
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
