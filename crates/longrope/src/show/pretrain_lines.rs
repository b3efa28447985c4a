//! The progress of `pretrain`: bars while the text is prepared, then lines on stderr unless there is a dashboard.

use indicatif::ProgressBar;
use longrope_extend::pretrain::{N_PASSKEYS, PretrainEvent};
use longrope_trainer::run::TrainEvent;

use crate::terminal::progress;

/// Steps between two lines.
const LINE_EVERY: usize = 10;

/// Shows the progress of a pretraining.
pub(crate) struct PretrainLines {
    bar: ProgressBar,
    with_steps: bool,
}

impl PretrainLines {
    /// Shows the steps of phases only if `with_steps`.
    pub(crate) fn new(with_steps: bool) -> Self {
        Self {
            bar: ProgressBar::hidden(),
            with_steps,
        }
    }

    /// Shows one event.
    pub(crate) fn show(&mut self, event: PretrainEvent<'_>) {
        match event {
            PretrainEvent::TrainingTokenizer => {
                self.bar = progress::spinner("training the tokenizer");
            }
            PretrainEvent::TrainedTokenizer => self.bar.finish_and_clear(),
            PretrainEvent::Tokenizing { done, total } => {
                if done == 0 {
                    self.bar = progress::bar("tokenizing", total as u64);
                }
                self.bar.set_position(done as u64);
                if done == total {
                    self.bar.finish_and_clear();
                }
            }
            PretrainEvent::Phase { phase, event } if self.with_steps => {
                show_training(event, &phase.name, phase.steps);
            }
            _ => {}
        }
    }
}

/// Shows one event of the phase `name` of `steps` steps.
fn show_training(event: TrainEvent<'_>, name: &str, steps: usize) {
    match event {
        TrainEvent::Step(timed) if timed.report.step.is_multiple_of(LINE_EVERY) => {
            let report = &timed.report;
            let tokens_per_sec = report.n_tokens as f64 / timed.elapsed_secs;
            progress::line(&format!(
                "{name} {}/{steps}: loss {:.4}, gradient {:.3}, {tokens_per_sec:.0} tokens/s",
                report.step, report.nll_nats, report.grad_norm
            ));
        }
        TrainEvent::Measured {
            step, measurement, ..
        } => {
            let mut measured = Vec::new();
            if measurement.nll_nats.is_finite() {
                measured.push(format!("held-out perplexity {:.2}", measurement.ppl()));
            }
            if let Some(share) = measurement.passkeys {
                let n_found = share * N_PASSKEYS as f64;
                measured.push(format!("passkeys {n_found:.0} of {N_PASSKEYS}"));
            }
            if !measured.is_empty() {
                progress::line(&format!("{name} {step}/{steps}: {}", measured.join(", ")));
            }
        }
        _ => {}
    }
}
