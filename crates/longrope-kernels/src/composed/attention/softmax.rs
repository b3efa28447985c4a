//! The softmax of rows of scores, one block of keys after the other.

use burn::backend::Backend;

use super::view::View;
use crate::composed::ops::Float;

/// Below any score, and finite: the maximum of a row that has seen no key yet.
pub(crate) const LOWEST: f64 = -1e30;

/// The softmax of rows over the blocks of keys so far.
pub(crate) struct Softmax<B: Backend> {
    /// The largest score of each row, `[batch, n_kv_heads, group · rows, 1]`.
    pub(crate) max: Float<B>,
    /// `Σ exp(s - max)`, the same shape.
    pub(crate) total: Float<B>,
}

/// What a block adds to the softmax.
pub(crate) struct Weighed<B: Backend> {
    /// `exp(s - max)`, with the maximum that [`after`](Self::after) has, in the shape of the scores.
    pub(crate) weights: Float<B>,
    /// What sums over the blocks before are multiplied with, `[batch, n_kv_heads, group · rows, 1]`. `None` for the first.
    pub(crate) correction: Option<Float<B>>,
    pub(crate) after: Softmax<B>,
}

impl<B: Backend> Softmax<B> {
    /// With the sink of each row, which has no value; also what sums are multiplied with.
    pub(super) fn and_sink(self, sinks: Float<B>) -> (Self, Float<B>) {
        let dims: [usize; 4] = self.max.dims();
        let sinks = sinks.expand(dims);
        let max = self.max.clone().larger(sinks.clone());
        let correction = (self.max - max.clone()).exp();
        let total = self.total * correction.clone() + (sinks - max.clone()).exp();
        (Self { max, total }, correction)
    }

    pub(super) fn log_sum_exp(&self) -> Float<B> {
        self.max.clone() + self.total.clone().ln()
    }
}

/// See [`Steps::weights`](crate::composed::steps::Steps::weights).
pub(crate) fn with_block<B: Backend>(
    scores: Float<B>,
    before: Option<Softmax<B>>,
    view: &View<B>,
) -> Weighed<B> {
    let scores = view.hidden(view.capped(scores));
    let max = scores.clone().max(3);
    let (max, before) = match before {
        // A first block may hide all of its keys from a row.
        None if view.seen.is_some() => (max.at_least(LOWEST), None),
        None => (max, None),
        Some(before) => (before.max.clone().larger(max), Some(before)),
    };
    let weights = (scores - max.clone()).exp();
    let total = weights.clone().sum(3);
    let (total, correction) = match before {
        None => (total, None),
        Some(before) => {
            let correction = (before.max - max.clone()).exp();
            let total = before.total * correction.clone() + total;
            (total, Some(correction))
        }
    };
    Weighed {
        weights,
        correction,
        after: Softmax { max, total },
    }
}
