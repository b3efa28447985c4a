//! Attention sinks: a score of each query head that has no value.
//!
//! With the log-sum-exp of scores and sink, the backward pass for queries, keys and values is the one without sinks.

use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::block::SCORE_UNIT;
use crate::flex::simd;
use crate::flex::view::{View, contiguous};

/// The sinks in units of [`SCORE_UNIT`].
pub(super) fn scaled_sinks(sinks: &FlexTensor) -> Vec<f32> {
    let mut scratch = Vec::new();
    let sinks = View::<1>::new(sinks).row([0], &mut scratch);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the kernel computes in f32"
    )]
    let scaled = sinks
        .iter()
        .map(|sink| (f64::from(*sink) * SCORE_UNIT) as f32);
    scaled.collect()
}

/// The gradient of the sinks: the sum of `-p · (dO ∘ O)` over sequences, queries and dimensions, with `p` the sink's
/// weight in a query's softmax. `grad` is the gradient of the output.
///
/// `output` and `log_sum_exp` are the results of the forward pass.
pub(in crate::flex) fn sinks_backward(
    sinks: &FlexTensor,
    output: &FlexTensor,
    log_sum_exp: &FlexTensor,
    grad: &FlexTensor,
) -> FlexTensor {
    let sinks = scaled_sinks(sinks);
    let (output, grad) = (View::<4>::new(output), View::<4>::new(grad));
    let log_sum_exp = View::<3>::new(log_sum_exp);
    let [batch, _, seq, _] = output.dims;
    let gradients = sinks.par_iter().enumerate().map(|(head, sink)| {
        let (mut out_scratch, mut grad_scratch) = (Vec::new(), Vec::new());
        let mut sum = 0f64;
        for b in 0..batch {
            for query in 0..seq {
                let at = [b, head, query, 0];
                let output = output.row(at, &mut out_scratch);
                let along = simd::dot(output, grad.row(at, &mut grad_scratch));
                let weight = (sink - log_sum_exp.from([b, head, query])[0]).exp2();
                sum -= f64::from(weight * along);
            }
        }
        #[expect(clippy::cast_possible_truncation, reason = "gradients are f32")]
        let sum = sum as f32;
        sum
    });
    let gradients: Vec<f32> = gradients.collect();
    contiguous(gradients, vec![sinks.len()])
}
