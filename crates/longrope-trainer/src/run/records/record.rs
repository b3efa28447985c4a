//! One line of a file of metrics.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::missing_number::{is_not_finite, not_a_number, number};
use super::old_line::OldLine;
use crate::session::TimedStep;

/// One line after the header.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Record {
    /// An optimizer step.
    Step {
        /// Phase of a pretraining.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// Steps so far, this one included.
        step: usize,
        /// Weighted mean loss before the step, nats per token.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        loss: f64,
        /// Unweighted mean loss of the tokens that count, nats per token.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        nll_nats: f64,
        /// Mean loss of the hidden states that were compared with the original model.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        distill: Option<f64>,
        /// Learning rate.
        #[serde(deserialize_with = "number")]
        learning_rate: f64,
        /// Norm of all gradients together, before clipping.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        grad_norm: f64,
        /// Tokens that went through the model.
        n_tokens: usize,
        /// `n_tokens / elapsed_secs`.
        #[serde(deserialize_with = "number")]
        tokens_per_second: f64,
        /// Duration of the step, seconds.
        #[serde(deserialize_with = "number")]
        elapsed_secs: f64,
        /// Peak memory of the process so far, bytes.
        peak_memory_bytes: Option<u64>,
        /// Whether the weights were left unchanged because loss or gradients were not finite.
        skipped: bool,
    },
    /// A measurement.
    Eval {
        /// Phase of a pretraining.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        phase: Option<String>,
        /// Steps made before it.
        step: usize,
        /// Context length, tokens; `None` in old files of pretraining.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        context: Option<usize>,
        /// Mean loss, nats per token.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        nll_nats: f64,
        /// Perplexity, the exponential of `nll_nats`.
        #[serde(
            deserialize_with = "number",
            default = "not_a_number",
            skip_serializing_if = "is_not_finite"
        )]
        ppl: f64,
        /// Share of passkeys found, if they were measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        passkeys: Option<f64>,
    },
}

impl Record {
    /// The line of a step.
    pub(in crate::run) fn of_step(phase: Option<&str>, timed: &TimedStep) -> Self {
        let report = &timed.report;
        Self::Step {
            phase: phase.map(str::to_owned),
            step: report.step,
            loss: report.loss,
            nll_nats: report.nll_nats,
            distill: report.distill,
            learning_rate: report.learning_rate,
            grad_norm: report.grad_norm,
            n_tokens: report.n_tokens,
            tokens_per_second: report.n_tokens as f64 / timed.elapsed_secs.max(1e-9),
            elapsed_secs: timed.elapsed_secs,
            peak_memory_bytes: timed.peak_memory_bytes,
            skipped: report.skipped,
        }
    }

    /// Steps so far, counted within the phase.
    pub fn step(&self) -> usize {
        match self {
            Self::Step { step, .. } | Self::Eval { step, .. } => *step,
        }
    }

    /// Phase of a pretraining; `None` for other runs.
    pub fn phase(&self) -> Option<&str> {
        match self {
            Self::Step { phase, .. } | Self::Eval { phase, .. } => phase.as_deref(),
        }
    }

    /// A line after the header. `None` for lines of other programs and versions.
    pub fn from_json(line: Value) -> Option<Self> {
        if line.get("event").is_some() {
            return serde_json::from_value(line).ok();
        }
        serde_json::from_value::<OldLine>(line).ok().map(Self::from)
    }
}

impl From<OldLine> for Record {
    fn from(line: OldLine) -> Self {
        match line {
            OldLine::Eval {
                phase,
                step,
                held_out_nll_nats: nll_nats,
                passkeys,
            } => Self::Eval {
                phase: Some(phase),
                step,
                context: None,
                nll_nats,
                ppl: nll_nats.exp(),
                passkeys,
            },
            OldLine::Step {
                phase,
                step,
                loss,
                nll_nats,
                learning_rate,
                grad_norm,
                tokens,
                elapsed_secs,
            } => Self::Step {
                phase: Some(phase),
                step,
                loss,
                nll_nats,
                distill: None,
                learning_rate,
                grad_norm,
                n_tokens: tokens,
                tokens_per_second: tokens as f64 / elapsed_secs.max(1e-9),
                elapsed_secs,
                peak_memory_bytes: None,
                skipped: !(loss.is_finite() && grad_norm.is_finite()),
            },
        }
    }
}
