//! Training, one optimizer step at a time.

use longrope_model::{Decoder, Recompute, Trained};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::micro_batch::MicroBatch;
use crate::optimizer::{AdamW, OptimizerConfig};
use crate::schedule::Schedule;
use crate::workers::{Goal, Worker, Workers};

/// Settings of a [`Trainer`].
#[derive(Clone, Debug)]
pub struct TrainerConfig {
    /// Learning rate by step.
    pub schedule: Schedule,
    /// The optimizer.
    pub optimizer: OptimizerConfig,
    /// Which parameters change.
    pub trained: Trained,
    /// Which activations the backward pass recomputes.
    pub recompute: Recompute,
}

impl TrainerConfig {
    /// Checks the schedule and the optimizer.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn validate(&self) -> Result<()> {
        self.schedule.validated()?;
        let optimizer = self.optimizer.validate();
        optimizer.map_err(|error| error.within("optimizer"))
    }
}

/// The result of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Steps so far, including this one.
    pub step: usize,
    /// Weighted mean loss before the step, nats per token.
    pub loss: f64,
    /// Unweighted mean loss of the tokens with a positive weight, nats per token.
    pub nll_nats: f64,
    /// Mean loss of the hidden states that are compared with the original model; `None` if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distill: Option<f64>,
    /// Tokens that went through the model.
    pub n_tokens: usize,
    /// Tokens with a positive weight, whose mean loss `nll_nats` is.
    #[serde(default)]
    pub n_counted: usize,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Norm of all gradients together, before clipping.
    pub grad_norm: f64,
    /// Whether the weights were left unchanged because loss or gradients were not finite.
    pub skipped: bool,
}

/// Trains a decoder. The caller provides the data and calls [`step`](Self::step).
#[derive(Clone, Debug)]
pub struct Trainer {
    decoder: Decoder,
    workers: Workers,
    config: TrainerConfig,
    optimizer: AdamW,
    n_steps: usize,
    last_was_skipped: bool,
}

impl Trainer {
    /// A trainer before its first step.
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn new(decoder: Decoder, config: TrainerConfig) -> Result<Self> {
        let optimizer = AdamW::new(config.optimizer);
        Self::at_step(decoder, config, optimizer, 0)
    }

    /// A trainer that continues after `n_steps` steps; see [`checkpoint::restore`](crate::checkpoint::restore).
    ///
    /// # Errors
    /// If a setting is out of range.
    pub fn at_step(
        decoder: Decoder,
        config: TrainerConfig,
        optimizer: AdamW,
        n_steps: usize,
    ) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            decoder,
            workers: Workers::default(),
            config,
            optimizer,
            n_steps,
            last_was_skipped: false,
        })
    }

    /// The same trainer after a step that was skipped, or that was not.
    pub(crate) fn with_last_skipped(mut self, last_was_skipped: bool) -> Self {
        self.last_was_skipped = last_was_skipped;
        self
    }

    /// The same trainer, which divides the micro-batches of a step among these devices. Without any, or with one, the device of
    /// the model computes them all. Of several GPUs, or several CPUs, each keeps the state of the optimizer for some of the
    /// parameters.
    ///
    /// # Errors
    /// [`Error::Threads`] if threads cannot be started.
    pub fn with_workers(mut self, workers: &[Worker]) -> Result<Self> {
        self.workers = Workers::new(workers, &mut self.decoder, self.config.trained)?;
        Ok(self)
    }

    /// The model in its current state.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The model, without the trainer.
    pub fn into_decoder(self) -> Decoder {
        self.decoder
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &AdamW {
        &self.optimizer
    }

    /// Steps so far, including skipped ones.
    pub fn n_steps(&self) -> usize {
        self.n_steps
    }

    /// Whether the last step was skipped: if the next one is not finite either, it is an error.
    pub fn last_was_skipped(&self) -> bool {
        self.last_was_skipped
    }

    /// Whether all steps of the schedule have been made.
    pub fn is_done(&self) -> bool {
        self.n_steps >= self.config.schedule.total_steps
    }

    /// Makes one optimizer step on the weighted mean loss of all micro-batches.
    ///
    /// If loss or gradients are not finite, the weights stay unchanged and the report is marked as skipped.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if that happens twice in a row, [`Error::NeverFinite`] if the last step ends a training
    /// without any change; the weights are unchanged. [`Error::NothingCounts`] if no
    /// token has a positive weight. [`Error::Model`] if a batch does not fit the model. [`Error::DeviceFailed`] if one of several
    /// devices fails.
    pub fn step(&mut self, batches: &[MicroBatch]) -> Result<StepReport> {
        let goal = Goal {
            trained: self.config.trained,
            recompute: self.config.recompute,
        };
        let sums = self.workers.compute(&self.decoder, batches, goal)?;
        if sums.n_counted == 0 {
            return Err(Error::NothingCounts {
                step: self.n_steps + 1,
            });
        }
        let norm = sums.gradients.norm() / sums.weight;
        let learning_rate = self.config.schedule.at(self.n_steps);
        let loss = sums.loss / sums.weight;
        let finite = loss.is_finite() && norm.is_finite();
        if finite {
            let max_norm = self.config.optimizer.max_grad_norm;
            let clip = (max_norm / norm.max(f64::MIN_POSITIVE)).min(1.0);
            let gradients = sums.gradients.scaled(clip / sums.weight);
            self.optimizer
                .step(&mut self.decoder, gradients, learning_rate);
            self.workers.update(&mut self.decoder, self.config.trained);
        } else {
            self.check_may_skip(loss, norm)?;
        }
        self.last_was_skipped = !finite;
        self.n_steps += 1;
        Ok(StepReport {
            step: self.n_steps,
            loss,
            nll_nats: sums.plain_nll / sums.n_counted as f64,
            distill: (sums.distilled_weight > 0.0)
                .then(|| sums.distilled_loss / sums.distilled_weight),
            n_tokens: sums.n_tokens,
            n_counted: sums.n_counted,
            learning_rate,
            grad_norm: norm,
            skipped: !finite,
        })
    }

    /// Checks that the next step, which is not finite, may be skipped: one may, but not two in a row, nor every one.
    fn check_may_skip(&self, loss: f64, norm: f64) -> Result<()> {
        let step = self.n_steps + 1;
        if self.last_was_skipped {
            return Err(Error::NotFinite { step, loss, norm });
        }
        if self.optimizer.n_steps() == 0 && step >= self.config.schedule.total_steps {
            return Err(Error::NeverFinite {
                steps: step,
                loss,
                norm,
            });
        }
        Ok(())
    }
}
