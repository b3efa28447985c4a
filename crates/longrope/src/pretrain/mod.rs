//! A model from nothing: a tokenizer from text, random weights, then phase after phase.
//!
//! ```text
//! RUN/config.toml      the resolved configuration; `--resume` reads it
//!     corpus.json      which text and tokens
//!     metrics.jsonl    a line per step and per measurement
//!     start/           the checkpoint of random weights, with the tokenizer
//!     1-NAME/step-*/   saved states of the first phase, and so on
//!     model/           the result
//! ```

mod card;
mod corpus;
mod measure;
mod phase;

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_trainer::{Ending, Screen};
use serde_json::json;

use crate::hint::Hint;
use crate::input::device;
use crate::run_dir;
use crate::settings::config::Config;
use crate::settings::pretrain::Phase;
use crate::signals::{Interrupt, Interrupted};
use corpus::Corpus;
use measure::{Measured, Yardstick};
use phase::PhaseRun;

/// What a run gave.
pub(crate) struct Outcome {
    /// The checkpoint.
    pub(crate) model: PathBuf,
    /// Tokens of the text it was trained on.
    pub(crate) n_text_tokens: usize,
    /// Steps of all phases.
    pub(crate) n_steps: usize,
    /// The model at the end, at the window of the last phase.
    pub(crate) measured: Measured,
}

/// Trains, from the beginning or from where the run folder is.
pub(crate) fn run(config: &Config, out: &Path, screen: Screen) -> Result<Outcome> {
    let section = &config.pretrain;
    let interrupt = Interrupt::listen()?;
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
    run_dir::write_atomically(&out.join("corpus.json"), &report)?;

    let metrics = out.join("metrics.jsonl");
    let mut base = start.clone();
    for (phase_idx, phase) in section.phases.iter().enumerate() {
        let folder = out.join(format!("{}-{}", phase_idx + 1, phase.name));
        let run = PhaseRun {
            phase,
            folder: folder.clone(),
            base: &base,
            metrics: &metrics,
            mixture: corpus.mixture(config, phase_idx)?,
            yardstick: yardstick(config, &corpus, phase)?,
            eval_every: section.eval_every,
            save_every: section.save_every,
            settings: json!({
                "phase": phase,
                "seed": config.seed,
                "answer-weight": section.answer_weight,
                "corpus-share": section.corpus_share,
                "text": corpus.report.text_fingerprint,
                "tokenizer": corpus.report.tokenizer_fingerprint,
            }),
            screen,
            interrupt: &interrupt,
        };
        if run.run(&device)? == Ending::Interrupted {
            return Err(anyhow::Error::from(Interrupted).context(Hint(format!(
                "everything is saved; continue with: longrope pretrain --resume --out {}",
                out.display()
            ))));
        }
        let last = phase::latest(&folder)?.ok_or_else(|| {
            anyhow!(
                "phase `{}` left no state in `{}`",
                phase.name,
                folder.display()
            )
        })?;
        base = last.join("model");
    }

    let decoder = longrope_model::Decoder::load(&base, &device)?;
    let measured = match section.phases.last() {
        Some(phase) => yardstick(config, &corpus, phase)?.measure(&decoder)?,
        None => Measured {
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

fn yardstick(config: &Config, corpus: &Corpus, phase: &Phase) -> Result<Yardstick> {
    let passkeys = corpus.passkeys(config, phase);
    Yardstick::new(&corpus.held_out, phase.window, passkeys)
}

/// A copy of the last state's model, with a card; whole or not there.
fn write_model(from: &Path, to: &Path, card: &str) -> Result<()> {
    let parent = to.parent().unwrap_or(Path::new("."));
    let temporary = tempfile::Builder::new()
        .prefix(".saving-")
        .tempdir_in(parent)?;
    let staging = temporary.path().join("new");
    fs_err::create_dir(&staging)?;
    for entry in fs_err::read_dir(from)? {
        let path = entry?.path();
        if let Some(name) = path.file_name() {
            fs_err::copy(&path, staging.join(name))?;
        }
    }
    fs_err::write(staging.join("README.md"), card)?;
    if to.exists() {
        fs_err::rename(to, temporary.path().join("old"))?;
    }
    fs_err::rename(&staging, to)?;
    Ok(())
}
