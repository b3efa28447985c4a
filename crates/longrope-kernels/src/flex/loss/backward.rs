//! Gradients of the losses.
//!
//! A task has a block of rows and walks over tiles of words. The gradient of its hidden states is
//! its own; to the gradient of the weight, tasks add in the order of their blocks, as the backward
//! pass of attention does for keys and values.

use burn_flex::FlexTensor;

use super::rows::{indices, rows_from};
use crate::flex::matrix::{Matrix, multiply};
use crate::flex::shared::{InTurns, SharedRows};
use crate::flex::simd;
use crate::flex::view::{View, contiguous};

/// Most rows of a task.
const ROWS: usize = 512;
/// Fewest rows of a task.
const FEWEST_ROWS: usize = 64;
/// Tasks to make before they get longer than [`FEWEST_ROWS`].
const TASKS: usize = 8;
/// Words of a tile of logits: with [`ROWS`] rows, 512 KiB.
const WORDS: usize = 256;

/// Gradients of hidden states and, if asked for, of the weight, for the gradient `grad` of each
/// loss.
pub(in crate::flex) fn linear_nll_backward(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &FlexTensor,
    log_sum_exp: &FlexTensor,
    grad: &FlexTensor,
    needs_weight: bool,
) -> (FlexTensor, Option<FlexTensor>) {
    let targets = indices(targets);
    let (hidden, weight) = (View::<2>::new(hidden), View::<2>::new(weight));
    let (log_sum_exp, grad) = (View::<1>::new(log_sum_exp), View::<1>::new(grad));
    let [n_rows, size] = hidden.dims;
    let [vocab, _] = weight.dims;
    let n_tiles = vocab.div_ceil(WORDS);
    let block = n_rows.div_ceil(TASKS).clamp(FEWEST_ROWS, ROWS);

    let mut d_hidden = vec![0f32; n_rows * size];
    let mut d_weight = vec![0f32; if needs_weight { vocab * size } else { 0 }];
    let hidden_rows = SharedRows::new(&mut d_hidden);
    let weight_rows = SharedRows::new(&mut d_weight);
    let turns = InTurns::new(vec![0; n_tiles]);
    turns.run(
        n_rows.div_ceil(block),
        || vec![0f32; block * WORDS],
        |logits, task| {
            let start = task * block;
            let n = block.min(n_rows - start);
            // SAFETY: every row belongs to exactly one task.
            #[expect(unsafe_code, reason = "disjoint rows of one buffer")]
            let d_hidden = unsafe { hidden_rows.row(start * size, n * size) };
            for tile in 0..n_tiles {
                let first = tile * WORDS;
                let n_words = WORDS.min(vocab - first);
                let words = rows_from(&weight, first);
                let rows = rows_from(&hidden, start);
                multiply(
                    [n, n_words, size],
                    rows,
                    words.transposed(),
                    logits,
                    WORDS,
                    false,
                );
                for row in 0..n {
                    let line = &mut logits[row * WORDS..][..n_words];
                    let grad = grad.from([start + row])[0];
                    simd::exp_scaled_in_place(line, log_sum_exp.from([start + row])[0], grad);
                    let target = targets[start + row];
                    if (first..first + n_words).contains(&target) {
                        line[target - first] -= grad;
                    }
                }
                let d_logits = Matrix::rows(logits, WORDS);
                multiply([n, size, n_words], d_logits, words, d_hidden, size, true);
                if needs_weight {
                    turns.take(tile, task, || {
                        // SAFETY: only the task whose turn it is touches the rows of this tile.
                        #[expect(unsafe_code, reason = "rows written in turns")]
                        let d_weight = unsafe { weight_rows.row(first * size, n_words * size) };
                        let d_logits = d_logits.transposed();
                        multiply([n_words, size, n], d_logits, rows, d_weight, size, true);
                    });
                }
            }
        },
    );
    let d_weight = needs_weight.then(|| contiguous(d_weight, vec![vocab, size]));
    (contiguous(d_hidden, vec![n_rows, size]), d_weight)
}
