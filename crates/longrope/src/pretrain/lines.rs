//! The progress of pretraining without a dashboard: lines on stderr.

use std::io::Write;

use anyhow::Result;
use longrope_trainer::run::TrainEvent;

use crate::show::progress;

/// Steps between two lines.
const LINE_EVERY: usize = 10;

/// Shows one event of the phase `name` of `steps` steps.
pub(super) fn show(event: TrainEvent<'_>, name: &str, steps: usize) -> Result<()> {
    match event {
        TrainEvent::Step(timed) if timed.report.step.is_multiple_of(LINE_EVERY) => {
            let report = &timed.report;
            let tokens_per_sec = report.n_tokens as f64 / timed.elapsed_secs;
            note(&format!(
                "{name} {}/{steps}: loss {:.4}, gradient {:.3}, {tokens_per_sec:.0} tokens/s",
                report.step, report.loss, report.grad_norm
            ))
        }
        TrainEvent::Measured {
            step, measurement, ..
        } => {
            let passkeys = measurement.passkeys.map_or_else(String::new, |share| {
                format!(", passkeys {:.0}%", 100.0 * share)
            });
            note(&format!(
                "{name} {step}/{steps}: held-out perplexity {:.2}{passkeys}",
                measurement.ppl()
            ))
        }
        _ => Ok(()),
    }
}

fn note(text: &str) -> Result<()> {
    Ok(writeln!(progress::stderr_above_bars(), "{text}")?)
}
