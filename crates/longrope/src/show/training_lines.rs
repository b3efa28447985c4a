//! The progress of a training without a dashboard: a bar on a terminal, otherwise lines on stderr.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::ProgressBar;
use longrope_trainer::TimedStep;
use longrope_trainer::run::TrainEvent;

use crate::terminal::progress;

/// Shows the progress of a run.
pub(crate) struct Lines {
    bar: ProgressBar,
    to_terminal: bool,
    shown: bool,
    started: Instant,
    total: usize,
}

impl Lines {
    /// Shows a run of `total` steps; with `shown` false, shows nothing, because there is a dashboard.
    pub(crate) fn new(total: usize, shown: bool) -> Self {
        Self {
            bar: if shown {
                progress::bar("training", total as u64)
            } else {
                ProgressBar::hidden()
            },
            to_terminal: std::io::stderr().is_terminal(),
            shown,
            started: Instant::now(),
            total,
        }
    }

    /// Shows one event.
    pub(crate) fn show(&self, event: TrainEvent<'_>) {
        match event {
            TrainEvent::Resumed { step, .. } => self.bar.set_position(step as u64),
            TrainEvent::Step(timed) => self.step(timed),
            TrainEvent::Measured {
                step,
                context,
                measurement,
            } if self.shown => progress::line(&format!(
                "step {step}: perplexity {:.3} at {context} tokens, {:.0} s",
                measurement.ppl(),
                self.started.elapsed().as_secs_f64()
            )),
            _ => {}
        }
    }

    fn step(&self, timed: &TimedStep) {
        let report = &timed.report;
        let speed = report.n_tokens as f64 / timed.elapsed_secs.max(1e-9);
        let distance = report
            .distill
            .map_or_else(String::new, |distance| format!(" distance {distance:.4}"));
        let text = format!(
            "loss {:.4}{distance} grad {:.3} lr {:.2e} {speed:.0} tokens/s",
            report.nll_nats, report.grad_norm, report.learning_rate
        );
        self.bar.set_position(report.step as u64);
        self.bar.set_message(text.clone());
        let every = (self.total / 40).max(1);
        if self.shown
            && !self.to_terminal
            && (report.step == 1 || report.step.is_multiple_of(every))
        {
            progress::line(&format!("step {}/{} {text}", report.step, self.total));
        }
    }
}
