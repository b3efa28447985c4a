//! The loss of a training batch, and its gradients.

use longrope_kernels::recompute::Keep;

use super::batch::{Input, TrainingBatch};
use super::distillation::Teacher;
use super::gradients::Gradients;
use super::pass::{Pass, RowLosses};
use crate::decoder::Decoder;
use crate::decoder::placement::PlacedRotary;
use crate::error::{Error, Result};
use crate::parameters::Trained;
use crate::rotary::Rotary;

/// Which parts of the forward pass are recomputed in the backward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recompute {
    /// Stores the input of each layer and recomputes the rest.
    Layers,
    /// The same, with the inputs in the memory of the host. Needs the least memory of a GPU.
    Offloaded,
    /// Stores everything. A quarter faster, but needs memory for all layers.
    Nothing,
}

/// Loss and gradients of a batch.
#[derive(Clone, Debug)]
pub struct LossGradients {
    /// The loss: the weighted sum of the negative log-likelihoods in nats, or the sum of the losses of a [`Teacher`].
    pub loss: f64,
    /// Sum of the weights.
    pub weight: f64,
    /// Sum of the negative log-likelihoods of all tokens with non-zero weight, without weights, in nats.
    pub plain_nll: f64,
    /// Number of tokens with non-zero weight.
    pub n_tokens: usize,
    /// Gradients of `loss`, added to those before.
    pub gradients: Gradients,
}

impl Decoder {
    /// Computes the loss of a batch and its gradients with respect to the trained parameters.
    ///
    /// The results are sums, not means: to combine micro-batches, add up `loss`, `weight` and the gradients, and divide
    /// by the total weight.
    ///
    /// # Errors
    /// If sequences differ in length, are shorter than two tokens or contain ids outside the vocabulary, if layers are
    /// streamed, or if `rotary` groups positions.
    ///
    /// # Panics
    /// If `rotary` has fewer positions than the sequences, or `documents` do not match them.
    pub fn loss_gradients(
        &self,
        batch: &TrainingBatch,
        rotary: &Rotary,
        trained: Trained,
        recompute: Recompute,
    ) -> Result<LossGradients> {
        let before = Gradients::default();
        self.add_gradients(before, batch, None, rotary, trained, recompute)
    }

    /// As [`Self::loss_gradients`], of the loss of a [`Teacher`]: how far hidden states are from those of the original
    /// model. Every token of the batch has weight 1; `loss_weights` only says which tokens `plain_nll` is about.
    ///
    /// # Errors
    /// As [`Self::loss_gradients`], also for the original model.
    ///
    /// # Panics
    /// As [`Self::loss_gradients`], or if the hidden states of the two models have different shapes.
    pub fn distillation_gradients(
        &self,
        batch: &TrainingBatch,
        teacher: &Teacher,
        rotary: &Rotary,
        trained: Trained,
        recompute: Recompute,
    ) -> Result<LossGradients> {
        let before = Gradients::default();
        self.add_gradients(before, batch, Some(teacher), rotary, trained, recompute)
    }

    /// As [`Self::loss_gradients`], or with a teacher as [`Self::distillation_gradients`], with the gradients added to those
    /// of the micro-batches before. Each layer's are added as soon as they are known, so the memory holds one set of gradients
    /// instead of two. The sums are the same bits as those of [`Gradients::merge`]. The losses are those of this batch.
    ///
    /// # Errors
    /// As for the two methods; `before` is then lost.
    ///
    /// # Panics
    /// As the two methods.
    pub fn add_gradients(
        &self,
        before: Gradients,
        batch: &TrainingBatch,
        teacher: Option<&Teacher>,
        rotary: &Rotary,
        trained: Trained,
        recompute: Recompute,
    ) -> Result<LossGradients> {
        if teacher.is_some_and(|teacher| teacher.decoder.is_streamed()) {
            return Err(Error::StreamedTraining);
        }
        if rotary.is_grouped() {
            return Err(Error::GroupedTraining);
        }
        let input = self.training_input(batch)?;
        let documents = batch.documents.as_ref();
        let pass = Pass {
            decoder: self,
            rotary: PlacedRotary::new(rotary, self.placement()),
            selection: self.selection(trained),
            documents,
            targets: teacher.map(|teacher| teacher.targets(&input.tokens, documents)),
        };
        let (losses, gradients) = match recompute {
            Recompute::Layers => pass.by_layer(&input, Keep::OnDevice, before),
            Recompute::Offloaded => pass.by_layer(&input, Keep::OnHost, before),
            Recompute::Nothing => pass.in_one(&input, before),
        };
        Ok(total(&input, &losses, gradients))
    }

    fn training_input(&self, batch: &TrainingBatch) -> Result<Input> {
        if self.is_streamed() {
            return Err(Error::StreamedTraining);
        }
        let seq = batch.tokens.first().map_or(0, Vec::len);
        if seq < 2 {
            return Err(Error::NothingToScore {
                found: seq,
                score_from: 1,
            });
        }
        for (index, sequence) in batch.tokens.iter().enumerate() {
            let weights = batch.loss_weights.get(index).map_or(seq, Vec::len);
            if sequence.len() != seq || weights != seq {
                return Err(Error::UnequalLengths {
                    index,
                    found: sequence.len().min(weights),
                    expected: seq,
                });
            }
            self.check_vocabulary(sequence)?;
        }
        Ok(Input::new(batch, seq, self))
    }
}

/// Sums up the losses of the rows in `f64`.
fn total(input: &Input, losses: &RowLosses, gradients: Gradients) -> LossGradients {
    let counted = losses.nll.iter().zip(&input.host_weights);
    let counted = counted.filter(|(_, weight)| **weight != 0.0);
    let mut total = LossGradients {
        loss: 0.0,
        weight: 0.0,
        plain_nll: 0.0,
        n_tokens: 0,
        gradients,
    };
    for (nll, weight) in counted {
        total.loss += nll * f64::from(*weight);
        total.weight += f64::from(*weight);
        total.plain_nll += nll;
        total.n_tokens += 1;
    }
    if let Some(distances) = &losses.distances {
        total.loss = distances.iter().sum();
        total.weight = distances.len() as f64;
    }
    total
}
