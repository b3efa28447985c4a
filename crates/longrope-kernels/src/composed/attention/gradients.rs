//! The gradients of the scores of a block.

use burn::backend::Backend;

use super::view::View;
use crate::composed::ops::Float;
use crate::composed::softcap::{slope_of_cap, through_cap};

/// What the softmax of each row gave, `[batch, n_kv_heads, group · rows, 1]`.
pub(crate) struct RowResults<B: Backend> {
    pub(crate) log_sum_exp: Float<B>,
    /// `rowsum(O ∘ dO)`
    pub(crate) along: Float<B>,
}

impl<B: Backend> Clone for RowResults<B> {
    fn clone(&self) -> Self {
        Self {
            log_sum_exp: self.log_sum_exp.clone(),
            along: self.along.clone(),
        }
    }
}

/// See [`Steps::gradients_of_scores`](crate::composed::steps::Steps::gradients_of_scores).
///
/// `P = exp(S - log_sum_exp)` and `dS = P ∘ (dP - along)`, times the slope of the soft cap, without the scale.
pub(crate) fn of_scores<B: Backend>(
    scores: Float<B>,
    d_weights: Float<B>,
    of_rows: RowResults<B>,
    view: &View<B>,
) -> [Float<B>; 2] {
    let scores = view.capped(scores);
    let slope = slope_of_cap(&scores, view.softcap);
    let weights = (view.hidden(scores) - of_rows.log_sum_exp).exp();
    let d_scores = weights.clone() * (d_weights - of_rows.along);
    [weights, through_cap(d_scores, slope)]
}
