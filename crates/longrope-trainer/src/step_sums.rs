//! What the micro-batches of a step add up to.

use longrope_model::{Gradients, LossGradients};

use crate::micro_batch::MicroBatch;

/// Sums over the micro-batches of a step.
#[derive(Default)]
pub(crate) struct StepSums {
    pub(crate) gradients: Gradients,
    pub(crate) loss: f64,
    pub(crate) weight: f64,
    /// See [`LossGradients::plain_nll`].
    pub(crate) plain_nll: f64,
    /// Tokens with non-zero weight.
    pub(crate) n_counted: usize,
    /// All tokens.
    pub(crate) n_tokens: usize,
    /// The part of `loss` that compares hidden states with the original model.
    pub(crate) distilled_loss: f64,
    pub(crate) distilled_weight: f64,
}

impl StepSums {
    /// Adds the losses of a micro-batch, and its gradients to those before.
    pub(crate) fn add(&mut self, micro_batch: &MicroBatch, part: LossGradients) {
        if micro_batch.teacher.is_some() {
            self.distilled_loss += part.loss;
            self.distilled_weight += part.weight;
        }
        self.loss += part.loss;
        self.weight += part.weight;
        self.plain_nll += part.plain_nll;
        self.n_counted += part.n_tokens;
        let tokens = micro_batch.batch.tokens.iter();
        self.n_tokens += tokens.map(Vec::len).sum::<usize>();
        self.gradients.merge(part.gradients);
    }
}
