//! One training run in one folder.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use longrope_data::{Mixture, TokenDocument, TokenWindow, WindowProtocol, plan_windows};
use longrope_eval::{PerplexityRun, Scorer};
use longrope_model::{Decoder, LoraConfig, Rotary};
use longrope_rope::RopeSpec;
use longrope_trainer::checkpoint::{self, SaveContext};
use longrope_trainer::{Ending, HookResult, Hooks, Screen, Session, TimedStep, Trainer};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use serde_json::{Value, json};

use super::config::{TrainMode, TrainSection};
use super::data::{Rotaries, micro_batch, mixture};
use super::records::{Record, Records, read};
use super::saved;
use crate::hint::Hint;
use crate::settings::config::Config;
use crate::show::progress;
use crate::signals::{Interrupt, Interrupted};

/// Everything a run needs to know.
pub(crate) struct TrainPlan<'a> {
    /// Folder of the run.
    pub(crate) run: PathBuf,
    /// The checkpoint it begins with.
    pub(crate) base: PathBuf,
    /// Its weights.
    pub(crate) decoder: Decoder,
    /// The embedding to train under.
    pub(crate) spec: RopeSpec,
    /// Tokens of a window.
    pub(crate) context: usize,
    /// Text.
    pub(crate) documents: Vec<TokenDocument>,
    /// Text to measure on.
    pub(crate) eval_documents: Vec<TokenDocument>,
    /// Contexts to measure, tokens.
    pub(crate) contexts: Vec<usize>,
    /// `[train]`
    pub(crate) section: &'a TrainSection,
    /// Where the beginning-of-text token stands in measurements.
    pub(crate) config: &'a Config,
    /// Whether a saved state may be gone on from.
    pub(crate) resume: bool,
    /// Whether the dashboard may take the terminal.
    pub(crate) dashboard: bool,
    /// Name of the run.
    pub(crate) label: String,
}

/// What a run gave.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct TrainResult {
    pub(crate) format: &'static str,
    pub(crate) version: u32,
    /// The trained checkpoint.
    pub(crate) model: PathBuf,
    pub(crate) steps: usize,
    /// Tokens that went through the model.
    pub(crate) n_tokens: usize,
    /// Mean loss of the first and the last tenth of the steps, nats per token.
    pub(crate) first_nats: f64,
    pub(crate) last_nats: f64,
    /// Seconds of all steps.
    pub(crate) step_secs: f64,
    pub(crate) peak_memory_bytes: Option<u64>,
    pub(crate) evals: Vec<Record>,
}

/// Trains to the end and writes the result as a checkpoint folder `model` in the run.
pub(crate) fn train(plan: TrainPlan<'_>, interrupt: &Interrupt) -> Result<TrainResult> {
    let TrainPlan {
        run,
        base,
        mut decoder,
        spec,
        context,
        documents,
        eval_documents,
        contexts,
        section,
        config,
        resume,
        dashboard,
        label,
    } = plan;
    let model = decoder.config().clone();
    let documents: Arc<[TokenDocument]> = documents.into();
    let mut windows = mixture(
        &section.data,
        &documents,
        &base,
        &model,
        context,
        config.seed,
    )?;
    let rotary = |spec: &RopeSpec| Rotary::new(&spec.resolve(context), context, decoder.device());
    let rotaries = Rotaries {
        rescaled: rotary(&spec),
        original: rotary(&model.rope.plain()),
    };
    let bos = crate::input::bos(config, &model)?;
    let evals = eval_plans(&eval_documents, &contexts, section.eval_windows, bos)?;
    let lora = (section.mode == TrainMode::Lora).then(|| LoraConfig::from(&section.lora));
    if let Some(lora) = &lora {
        let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
        decoder.add_adapters(lora, &mut rng)?;
    }

    let settings = settings(section, context, &spec, config.seed, &base)?;
    let trained = section.trainer();
    let latest = resume
        .then(|| checkpoint::latest(&run))
        .transpose()?
        .flatten();
    let trainer = match latest {
        Some(folder) => saved::restore(&folder, &settings, decoder, trained, &mut windows)?,
        None => Trainer::new(decoder, trained)?,
    };
    let first = trainer.n_steps();
    let records = Records::open(&run.join("metrics.jsonl"), first)?;
    let screen = if dashboard && std::io::stdout().is_terminal() {
        Screen::Dashboard
    } else {
        Screen::Nothing
    };
    let lines = Lines::new(section.steps, first, screen);
    let hooks = hooks(HookParts {
        run: run.clone(),
        base: base.clone(),
        windows,
        rotaries,
        section: section.clone(),
        records: Arc::new(Mutex::new(records)),
        lines,
        evals,
        spec,
        lora,
        settings,
        interrupt: interrupt.clone(),
    });
    let session = Session {
        trainer,
        hooks,
        total_steps: section.steps,
        eval_every: section.eval_every,
        contexts: if eval_documents.is_empty() {
            Vec::new()
        } else {
            contexts
        },
        save_every: section.save_every,
        screen,
        label,
    };
    let (trainer, ending) = session.run().with_context(|| {
        format!(
            "training in `{}`; --resume goes on from its last saved state",
            run.display()
        )
    })?;
    if ending == Ending::Interrupted {
        return Err(anyhow::Error::from(Interrupted).context(Hint(format!(
            "the state is saved; continue with --resume --out {}",
            run.display()
        ))));
    }
    let target = run.join("model");
    publish_model(trainer.into_decoder(), &base, &run, &target)?;
    summary(&run, target)
}

/// The windows of every context.
fn eval_plans(
    documents: &[TokenDocument],
    contexts: &[usize],
    n_windows: usize,
    bos: longrope_data::Bos,
) -> Result<Vec<(usize, Vec<TokenWindow>)>> {
    if documents.is_empty() {
        return Ok(Vec::new());
    }
    let protocol = WindowProtocol::Spread { n_windows };
    contexts
        .iter()
        .map(|&context| {
            let mut windows = plan_windows(documents, context, protocol, bos)
                .with_context(|| format!("laying windows of {context} tokens to measure on"))?;
            windows.truncate(n_windows);
            Ok((context, windows))
        })
        .collect()
}

/// What has to be the same for a run to go on.
fn settings(
    section: &TrainSection,
    context: usize,
    spec: &RopeSpec,
    seed: u64,
    base: &Path,
) -> Result<Value> {
    let fingerprint = longrope_model::Checkpoint::open(base)?.fingerprint()?;
    Ok(json!({
        "train": section,
        "context": context,
        "rope": format!("{spec:?}"),
        "seed": seed,
        "model": fingerprint,
    }))
}

/// What the hooks own.
struct HookParts {
    run: PathBuf,
    base: PathBuf,
    windows: Mixture,
    rotaries: Rotaries,
    section: TrainSection,
    records: Arc<Mutex<Records>>,
    lines: Lines,
    evals: Vec<(usize, Vec<TokenWindow>)>,
    spec: RopeSpec,
    lora: Option<LoraConfig>,
    settings: Value,
    interrupt: Interrupt,
}

fn hooks(parts: HookParts) -> Hooks {
    let HookParts {
        run,
        base,
        windows,
        rotaries,
        section,
        records,
        lines,
        evals,
        spec,
        lora,
        settings,
        interrupt,
    } = parts;
    let windows = Arc::new(Mutex::new(windows));
    let place = Arc::clone(&windows);
    let eval_records = Arc::clone(&records);
    let (batch, accumulate, keep) = (section.batch, section.accumulate, section.keep);
    let eval_lines = lines.clone();
    Hooks {
        next: Box::new(move || {
            let mut windows = lock(&windows)?;
            (0..accumulate.max(1))
                .map(|_| {
                    let batch = windows.next_batch(batch.max(1))?;
                    Ok(micro_batch(batch, &rotaries))
                })
                .collect()
        }),
        on_step: Box::new(move |step: &TimedStep| {
            lock(&records)?.add(&Record::from(step))?;
            lines.step(step)?;
            Ok(())
        }),
        evaluate: Box::new(move |decoder, step, context| {
            let windows = evals.iter().find(|(it, _)| *it == context);
            let windows = windows.map_or(&[][..], |(_, windows)| windows.as_slice());
            let nll_nats = mean_loss(decoder, windows, &spec)?;
            let record = Record::Eval {
                step,
                context,
                nll_nats,
                ppl: nll_nats.exp(),
            };
            lock(&eval_records)?.add(&record)?;
            eval_lines.eval(step, context, nll_nats)?;
            Ok(nll_nats)
        }),
        save: Box::new(move |trainer| {
            let cursor = lock(&place)?.cursor();
            let context = SaveContext {
                base: &base,
                lora: lora.as_ref(),
                keep,
            };
            saved::save(&run, trainer, &cursor, &settings, &context)?;
            Ok(())
        }),
        should_stop: Box::new(move || interrupt.requested()),
    }
}

fn lock<T>(shared: &Mutex<T>) -> HookResult<std::sync::MutexGuard<'_, T>> {
    shared.lock().map_err(|_| "a thread panicked".into())
}

fn mean_loss(decoder: &Decoder, windows: &[TokenWindow], spec: &RopeSpec) -> Result<f64> {
    let mut scorer = Scorer::new(decoder);
    let mut run = PerplexityRun::new(windows, spec);
    while !run.step(&mut scorer)?.is_empty() {}
    Ok(run.sum().nll_nats())
}

/// What is shown without a dashboard: a bar on a terminal, else a line now and then.
#[derive(Clone)]
struct Lines {
    bar: ProgressBar,
    to_terminal: bool,
    shown: bool,
    started: Instant,
    total: usize,
}

impl Lines {
    fn new(total: usize, first: usize, screen: Screen) -> Self {
        let shown = screen == Screen::Nothing;
        let bar = if shown {
            let bar = progress::bar("training", total as u64);
            bar.set_position(first as u64);
            bar
        } else {
            ProgressBar::hidden()
        };
        Self {
            bar,
            to_terminal: std::io::stderr().is_terminal(),
            shown,
            started: Instant::now(),
            total,
        }
    }

    fn step(&self, timed: &TimedStep) -> Result<()> {
        let report = &timed.report;
        let speed = report.n_tokens as f64 / timed.elapsed_secs.max(1e-9);
        let text = format!(
            "loss {:.4} grad {:.3} lr {:.2e} {speed:.0} tokens/s",
            report.nll_nats, report.grad_norm, report.learning_rate
        );
        self.bar.set_position(report.step as u64);
        self.bar.set_message(text.clone());
        if report.skipped {
            tracing::warn!(
                "step {}: loss {} or gradients not finite, weights left alone",
                report.step,
                report.loss
            );
        }
        let every = (self.total / 40).max(1);
        if self.shown
            && !self.to_terminal
            && (report.step == 1 || report.step.is_multiple_of(every))
        {
            write_line(&format!("step {}/{} {text}", report.step, self.total))?;
        }
        Ok(())
    }

    fn eval(&self, step: usize, context: usize, nll_nats: f64) -> Result<()> {
        if self.shown {
            let ppl = nll_nats.exp();
            write_line(&format!(
                "step {step}: perplexity {ppl:.3} at {context} tokens, {:.0} s",
                self.started.elapsed().as_secs_f64()
            ))?;
        }
        Ok(())
    }
}

fn write_line(text: &str) -> Result<()> {
    Ok(writeln!(progress::stderr_above_bars(), "{text}")?)
}

/// Writes the trained weights, adapters merged, whole or not at all.
fn publish_model(mut decoder: Decoder, base: &Path, run: &Path, target: &Path) -> Result<()> {
    decoder.merge_adapters();
    let temporary = tempfile::Builder::new()
        .prefix(".writing-")
        .tempdir_in(run)?;
    let staging = temporary.path().join("model");
    fs_err::create_dir(&staging)?;
    checkpoint::write_model(&decoder, base, &staging)?;
    if target.exists() {
        fs_err::rename(target, temporary.path().join("old"))?;
    }
    fs_err::rename(&staging, target)?;
    Ok(())
}

fn summary(run: &Path, model: PathBuf) -> Result<TrainResult> {
    let records = read(&run.join("metrics.jsonl"))?;
    let mut losses = Vec::new();
    let (mut n_tokens, mut step_secs, mut peak) = (0, 0.0, None);
    for record in &records {
        if let Record::Step {
            nll_nats,
            n_tokens: tokens,
            elapsed_secs,
            peak_memory_bytes,
            ..
        } = record
        {
            losses.push(*nll_nats);
            n_tokens += tokens;
            step_secs += elapsed_secs;
            peak = peak.max(*peak_memory_bytes);
        }
    }
    let tenth = losses.len().div_ceil(10).max(1);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    Ok(TrainResult {
        format: "longrope-training",
        version: 1,
        model,
        steps: losses.len(),
        n_tokens,
        first_nats: mean(&losses[..tenth.min(losses.len())]),
        last_nats: mean(&losses[losses.len().saturating_sub(tenth)..]),
        step_secs,
        peak_memory_bytes: peak,
        evals: records
            .into_iter()
            .filter(|record| matches!(record, Record::Eval { .. }))
            .collect(),
    })
}
