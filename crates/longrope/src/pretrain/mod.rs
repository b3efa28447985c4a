//! Pretrains a small model: trains a tokenizer, begins with random weights, then trains phase after phase.
//!
//! ```text
//! RUN/config.toml      the resolved configuration, read by `--resume`
//!     corpus.json      the text and its tokens
//!     metrics.jsonl    a line per step and per measurement
//!     start/           the checkpoint of random weights, with the tokenizer
//!     1-NAME/step-*/   saved states of the first phase, and so on
//!     model/           the result
//! ```

mod card;
mod corpus;
mod lines;
mod measure;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use burn::tensor::DType;
use longrope_data::write_atomically;
use longrope_extend::{Interrupt, Interrupted};
use longrope_model::{Decoder, Recompute, Trained};
use longrope_trainer::run::{Callbacks, Measurement, Rotaries};
use longrope_trainer::{Ending, OptimizerConfig, Screen, TrainerConfig, checkpoint, run};
use serde_json::json;

use crate::hint::Hint;
use crate::input::device;
use crate::settings::config::Config;
use crate::settings::pretrain::Phase;
use crate::signals;
use corpus::Corpus;
use measure::Yardstick;

/// Saved states that are kept of each phase.
const KEEP: usize = 2;

/// The result of a run.
pub(crate) struct Outcome {
    /// Folder of the checkpoint.
    pub(crate) model: PathBuf,
    /// Tokens of the training text.
    pub(crate) n_text_tokens: usize,
    /// Steps of all phases.
    pub(crate) n_steps: usize,
    /// Measurement of the final model, at the window of the last phase.
    pub(crate) measured: Measurement,
}

/// Trains all phases, or resumes from the latest saved state in the run folder.
pub(crate) fn run(config: &Config, out: &Path, screen: Screen) -> Result<Outcome> {
    let section = &config.pretrain;
    let interrupt = signals::listen()?;
    let device = device::open(config.device.only()?)?;
    let start = out.join("start");
    let texts = corpus::read_texts(config)?;
    if !texts.missing.is_empty() {
        tracing::warn!(
            "sources of {} crates are not on this machine: {}",
            texts.missing.len(),
            texts.missing.join(", ")
        );
    }
    if !start.join("config.json").is_file() {
        corpus::write_start(config, &texts, &start)?;
    }
    let corpus = Corpus::new(config, texts, &start)?;
    let report = serde_json::to_string_pretty(&corpus.report)? + "\n";
    write_atomically(&out.join("corpus.json"), report.as_bytes())?;

    let mut base = start.clone();
    for phase_idx in 0..section.phases.len() {
        let settings = &section.phases[phase_idx];
        let decoder = Decoder::load_as(&base, &device, DType::F32)
            .with_context(|| format!("loading model `{}`", base.display()))?;
        let phase = phase(config, out, &corpus, phase_idx, &base, &decoder, screen)?;
        let folder = phase.folder.clone();
        let yardstick = yardstick(config, &corpus, settings)?;
        let callbacks = callbacks(settings, yardstick, screen, &interrupt);
        let (_, ending) = phase.train(decoder, callbacks)?;
        if ending == Ending::Interrupted {
            return Err(anyhow::Error::from(Interrupted).context(Hint(format!(
                "everything is saved; continue with: longrope pretrain --resume --out {}",
                out.display()
            ))));
        }
        let last = checkpoint::latest(&folder)?.ok_or_else(|| {
            anyhow!(
                "phase `{}` left no state in `{}`",
                settings.name,
                folder.display()
            )
        })?;
        base = last.join("model");
    }

    let decoder = Decoder::load(&base, &device)?;
    let measured = match section.phases.last() {
        Some(phase) => yardstick(config, &corpus, phase)?.measure(&decoder)?,
        None => Measurement {
            nll_nats: f64::NAN,
            passkeys: None,
        },
    };
    let model = out.join("model");
    write_model(&base, &model, &card::text(config, &corpus.report, measured))?;
    Ok(Outcome {
        model,
        n_text_tokens: corpus.report.n_tokens,
        n_steps: section.phases.iter().map(|phase| phase.steps).sum(),
        measured,
    })
}

/// One phase as a run of the trainer, which resumes from its latest saved state if it has one.
fn phase(
    config: &Config,
    out: &Path,
    corpus: &Corpus,
    phase_idx: usize,
    base: &Path,
    decoder: &Decoder,
    screen: Screen,
) -> Result<run::Phase> {
    let section = &config.pretrain;
    let phase = &section.phases[phase_idx];
    let rope = &decoder.config().rope;
    Ok(run::Phase {
        name: Some(phase.name.clone()),
        folder: out.join(format!("{}-{}", phase_idx + 1, phase.name)),
        base: base.to_owned(),
        metrics: out.join("metrics.jsonl"),
        trainer: TrainerConfig {
            schedule: phase.schedule(),
            optimizer: OptimizerConfig {
                weight_decay: phase.weight_decay,
                ..OptimizerConfig::default()
            },
            trained: Trained::All,
            // Small models and short windows: there is memory for all activations.
            recompute: Recompute::Nothing,
        },
        lora: None,
        windows: corpus.mixture(config, phase_idx)?,
        rotaries: Rotaries::new(rope, &rope.plain(), phase.window, decoder.device()),
        batch: phase.batch,
        accumulate: 1,
        contexts: vec![phase.window],
        eval_every: section.eval_every,
        save_every: section.save_every,
        keep: KEEP,
        settings: json!({
            "phase": phase,
            "seed": config.seed,
            "answer-weight": section.answer_weight,
            "corpus-share": section.corpus_share,
            "text": corpus.report.text_fingerprint,
            "tokenizer": corpus.report.tokenizer_fingerprint,
        }),
        resume: true,
        screen,
        label: format!("pretrain: {}", phase.name),
    })
}

/// Measures with the yardstick, shows lines unless there is a dashboard, and stops on Ctrl-C.
fn callbacks(
    phase: &Phase,
    yardstick: Yardstick,
    screen: Screen,
    interrupt: &Interrupt,
) -> Callbacks {
    let (name, steps, interrupt) = (phase.name.clone(), phase.steps, interrupt.clone());
    Callbacks {
        measure: Box::new(move |decoder, _step, _context| Ok(yardstick.measure(decoder)?)),
        watch: Box::new(move |event| match screen {
            Screen::Dashboard => Ok(()),
            Screen::Nothing => Ok(lines::show(event, &name, steps)?),
        }),
        should_stop: Box::new(move || interrupt.requested()),
    }
}

fn yardstick(config: &Config, corpus: &Corpus, phase: &Phase) -> Result<Yardstick> {
    let passkeys = corpus.passkeys(config, phase);
    Yardstick::new(&corpus.held_out, phase.window, passkeys)
}

/// Copies the model of the last state and adds a card. A failure leaves an earlier `to` as it was.
fn write_model(from: &Path, to: &Path, card: &str) -> Result<()> {
    longrope_data::replace_folder(to, ".saving-", |folder| {
        for entry in fs_err::read_dir(from)? {
            let path = entry?.path();
            if let Some(name) = path.file_name() {
                fs_err::copy(&path, folder.join(name))?;
            }
        }
        Ok(fs_err::write(folder.join("README.md"), card)?)
    })
}
