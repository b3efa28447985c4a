//! One phase: windows in, steps, states and a line per step out.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use burn::tensor::{DType, Device};
use longrope_data::{Mixture, TrainingWindow};
use longrope_model::{Decoder, Recompute, Rotary, Trained, TrainingBatch};
use longrope_trainer::checkpoint::{self, SaveContext};
use longrope_trainer::{
    Ending, Hooks, MicroBatch, OptimizerConfig, Screen, Session, TimedStep, Trainer, TrainerConfig,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::measure::Yardstick;
use crate::run_dir;
use crate::settings::pretrain::Phase;
use crate::show::progress;
use crate::signals::Interrupt;
use crate::train::saved;

/// Saved states that are kept.
const KEEP: usize = 2;
/// Steps between lines on stderr, where there is no dashboard.
const LINE_EVERY: usize = 10;

/// All that a phase needs.
pub(super) struct PhaseRun<'a> {
    pub(super) phase: &'a Phase,
    /// Its states.
    pub(super) folder: PathBuf,
    /// The checkpoint it begins with.
    pub(super) base: &'a Path,
    /// A line per step of all phases.
    pub(super) metrics: &'a Path,
    pub(super) mixture: Mixture,
    pub(super) yardstick: Yardstick,
    pub(super) eval_every: usize,
    pub(super) save_every: usize,
    /// What has to be the same for a saved state to be of use.
    pub(super) settings: Value,
    pub(super) screen: Screen,
    pub(super) interrupt: &'a Interrupt,
}

/// A line of `metrics.jsonl`: a step, or a measurement after it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Line {
    phase: String,
    step: usize,
    #[serde(flatten)]
    values: serde_json::Map<String, Value>,
}

impl PhaseRun<'_> {
    /// Trains to the end of the phase, from its latest saved state if it has one.
    #[expect(
        clippy::too_many_lines,
        reason = "four hooks that share what the phase owns"
    )]
    pub(super) fn run(self, device: &Device) -> Result<Ending> {
        let config = TrainerConfig {
            schedule: self.phase.schedule(),
            optimizer: OptimizerConfig {
                weight_decay: self.phase.weight_decay,
                ..OptimizerConfig::default()
            },
            trained: Trained::All,
            // Small models and short windows: memory is no concern.
            recompute: Recompute::Nothing,
        };
        let decoder = Decoder::load_as(self.base, device, DType::F32)
            .with_context(|| format!("loading model `{}`", self.base.display()))?;
        let (trainer, mixture) = self.begin(decoder, config)?;
        keep_lines_before(self.metrics, &self.phase.name, trainer.n_steps())?;

        let Self {
            phase,
            folder,
            base,
            metrics,
            yardstick,
            settings,
            screen,
            ..
        } = self;
        let rope = trainer.decoder().config().rope.resolve(phase.window);
        let rotary = Rotary::new(&rope, phase.window, device);
        let mixture = Arc::new(Mutex::new(mixture));
        let log = Arc::new(Mutex::new(
            fs_err::OpenOptions::new()
                .create(true)
                .append(true)
                .open(metrics)?,
        ));
        let (name, steps) = (phase.name.clone(), phase.steps);
        let label = format!("pretrain: {name}");

        let (source, batch) = (Arc::clone(&mixture), phase.batch);
        let next = move || {
            let windows = source
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .next_batch(batch)?;
            Ok(vec![MicroBatch {
                batch: training_batch(&windows),
                rotary: rotary.clone(),
            }])
        };
        let (step_log, step_name) = (Arc::clone(&log), name.clone());
        let on_step = move |step: &TimedStep| {
            let report = &step.report;
            write_line(
                &step_log,
                &step_name,
                report.step,
                &json!({
                    "loss": report.loss,
                    "nll-nats": report.nll_nats,
                    "learning-rate": report.learning_rate,
                    "grad-norm": report.grad_norm,
                    "tokens": report.n_tokens,
                    "elapsed-secs": step.elapsed_secs,
                }),
            )?;
            if screen == Screen::Nothing && report.step.is_multiple_of(LINE_EVERY) {
                let tokens_per_sec = report.n_tokens as f64 / step.elapsed_secs;
                note(&format!(
                    "{step_name} {}/{steps}: loss {:.4}, gradient {:.3}, {tokens_per_sec:.0} tokens/s",
                    report.step, report.loss, report.grad_norm
                ))?;
            }
            Ok(())
        };
        let (eval_log, eval_name) = (log, name);
        let evaluate = move |decoder: &Decoder, step: usize, _context: usize| {
            let measured = yardstick.measure(decoder)?;
            write_line(
                &eval_log,
                &eval_name,
                step,
                &json!({
                    "held-out-nll-nats": measured.nll_nats,
                    "passkeys": measured.passkeys,
                }),
            )?;
            if screen == Screen::Nothing {
                let passkeys = measured.passkeys.map_or_else(String::new, |share| {
                    format!(", passkeys {:.0}%", 100.0 * share)
                });
                note(&format!(
                    "{eval_name} {step}/{steps}: held-out perplexity {:.2}{passkeys}",
                    measured.nll_nats.exp()
                ))?;
            }
            Ok(measured.nll_nats)
        };
        let (run, base) = (folder, base.to_owned());
        let save = move |trainer: &Trainer| {
            let cursor = mixture
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .cursor();
            let context = SaveContext {
                base: &base,
                lora: None,
                keep: KEEP,
            };
            saved::save(&run, trainer, &cursor, &settings, &context)?;
            Ok(())
        };
        let interrupt = self.interrupt.clone();
        let session = Session {
            trainer,
            hooks: Hooks {
                next: Box::new(next),
                on_step: Box::new(on_step),
                evaluate: Box::new(evaluate),
                save: Box::new(save),
                should_stop: Box::new(move || interrupt.requested()),
            },
            total_steps: steps,
            eval_every: self.eval_every,
            contexts: vec![phase.window],
            save_every: self.save_every,
            screen,
            label,
        };
        Ok(session.run()?.1)
    }

    /// Trainer and data at their beginning, or where the latest saved state left them.
    fn begin(&self, decoder: Decoder, config: TrainerConfig) -> Result<(Trainer, Mixture)> {
        let mut mixture = self.mixture.clone();
        let Some(folder) = latest(&self.folder)? else {
            return Ok((Trainer::new(decoder, config)?, mixture));
        };
        let trainer = saved::restore(&folder, &self.settings, decoder, config, &mut mixture)?;
        Ok((trainer, mixture))
    }
}

/// The latest saved state of a phase.
pub(super) fn latest(folder: &Path) -> Result<Option<PathBuf>> {
    if !folder.is_dir() {
        return Ok(None);
    }
    Ok(checkpoint::latest(folder)?)
}

fn training_batch(windows: &[TrainingWindow]) -> TrainingBatch {
    TrainingBatch {
        tokens: windows.iter().map(|it| it.tokens.clone()).collect(),
        loss_weights: windows.iter().map(TrainingWindow::token_weights).collect(),
        documents: None,
    }
}

type Log = Arc<Mutex<fs_err::File>>;

fn write_line(log: &Log, phase: &str, step: usize, values: &Value) -> Result<()> {
    let line = Line {
        phase: phase.to_owned(),
        step,
        values: values.as_object().cloned().unwrap_or_default(),
    };
    let mut file = log.lock().unwrap_or_else(PoisonError::into_inner);
    writeln!(file, "{}", serde_json::to_string(&line)?)?;
    Ok(())
}

fn note(text: &str) -> Result<()> {
    writeln!(progress::stderr_above_bars(), "{text}")?;
    Ok(())
}

/// Takes away lines of steps that will be made again, so that every step has one line.
fn keep_lines_before(path: &Path, phase: &str, n_steps: usize) -> Result<()> {
    let Ok(text) = fs_err::read_to_string(path) else {
        return Ok(());
    };
    let mut kept = String::with_capacity(text.len());
    for line in text.lines() {
        let known = serde_json::from_str::<Line>(line);
        if known.is_ok_and(|known| known.phase != phase || known.step <= n_steps) {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    if kept == text {
        return Ok(());
    }
    run_dir::write_atomically(path, &kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_that_are_made_again_leave_no_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        let line =
            |phase: &str, step: usize| format!(r#"{{"phase":"{phase}","step":{step},"loss":1.5}}"#);
        let text = [
            line("a", 1),
            line("a", 2),
            line("b", 1),
            line("b", 2),
            "{\"cut".to_owned(),
        ];
        fs_err::write(&path, text.join("\n")).unwrap();
        keep_lines_before(&path, "b", 1).unwrap();
        let kept = fs_err::read_to_string(&path).unwrap();
        assert_eq!(
            kept,
            format!("{}\n{}\n{}\n", line("a", 1), line("a", 2), line("b", 1))
        );
        keep_lines_before(&dir.path().join("none"), "b", 1).unwrap();
    }
}
