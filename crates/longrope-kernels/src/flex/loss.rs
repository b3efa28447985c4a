//! Losses from hidden states: tiles of logits, a running log-sum-exp.

use burn::tensor::DType;
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::attention::{Matrix, multiply};
use super::simd;
use super::view::{View, contiguous};

/// Rows of a task.
const ROWS: usize = 64;
/// Words of a tile of logits: with [`ROWS`] rows, 512 KiB.
const WORDS: usize = 2048;

/// See [`crate::linear_nll`].
pub(super) fn linear_nll(
    hidden: &FlexTensor,
    weight: &FlexTensor,
    targets: &FlexTensor,
) -> FlexTensor {
    let targets = indices(targets);
    let (hidden, weight) = (View::<2>::new(hidden), View::<2>::new(weight));
    let [n_rows, size] = hidden.dims;
    let [vocab, _] = weight.dims;
    let mut losses = vec![0f32; n_rows];
    losses.par_chunks_mut(ROWS).enumerate().for_each_init(
        || vec![0f32; ROWS * WORDS],
        |logits, (task, losses)| {
            let start = task * ROWS;
            let n = losses.len();
            let mut maxima = [f32::NEG_INFINITY; ROWS];
            let mut totals = [0f32; ROWS];
            let mut chosen = [f32::NAN; ROWS];
            for first in (0..vocab).step_by(WORDS) {
                let n_words = WORDS.min(vocab - first);
                multiply(
                    [n, n_words, size],
                    Matrix {
                        data: hidden.from([start, 0]),
                        strides: hidden.strides,
                    },
                    Matrix {
                        data: weight.from([first, 0]),
                        strides: [weight.strides[1], weight.strides[0]],
                    },
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
            for (row, loss) in losses.iter_mut().enumerate() {
                *loss = totals[row].ln() + (maxima[row] - chosen[row]);
            }
        },
    );
    contiguous(losses, vec![n_rows])
}

/// The elements of a 1-D integer tensor. A negative one becomes a number outside any vocabulary,
/// which leaves its loss NaN.
fn indices(tensor: &FlexTensor) -> Vec<usize> {
    let dense = tensor.to_contiguous();
    match dense.dtype() {
        DType::I64 => {
            let ids = dense.as_slice::<i64>().unwrap_or_default();
            ids.iter()
                .map(|id| usize::try_from(*id).unwrap_or(usize::MAX))
                .collect()
        }
        DType::I32 => {
            let ids = dense.as_slice::<i32>().unwrap_or_default();
            ids.iter()
                .map(|id| usize::try_from(*id).unwrap_or(usize::MAX))
                .collect()
        }
        other => panic!("targets are {other:?}, expected 32-bit or 64-bit integers"),
    }
}
