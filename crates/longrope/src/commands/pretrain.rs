//! `longrope pretrain`

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Document, SourceCrate, SourceOptions, TokenCache};
use longrope_extend::pretrain::{
    N_PASSKEYS, PretrainConfig, PretrainOutcome, PretrainPhase, PretrainTask, PretrainTexts,
};
use longrope_extend::{RunFolder, RunKind, RunMode, RunSettings};
use longrope_model::ResultSource;
use longrope_trainer::Screen;
use longrope_trainer::run::{TrainConfig, WeightPrecision};
use serde::Serialize;

use super::finetune::{check_resident, curriculum, precision_of_pretraining};
use super::not_finite;
use crate::failure::{Hint, explain_interruption};
use crate::input::memory::{self, Work};
use crate::input::{cargo_sources, device};
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::Config;
use crate::show::output;
use crate::show::pretrain_lines::PretrainLines;
use crate::terminal::screen::CtrlCInDashboard;
use crate::terminal::{progress, signals};
use crate::{input, next_steps, settings};

pub(crate) fn run(args: &args::Pretrain) -> Result<()> {
    let config = configuration(args)?;
    // Earlier versions began runs with token ids, and did not read them.
    if !args.resume {
        input::check_no_tokens(&config, "pretrain")?;
        check_resident(&config)?;
    }
    config.pretrain.validate()?;
    check_memory(&config)?;
    let out = settings::required(config.out.as_ref(), "--out")?;
    let dashboard = args.dashboard.is_on(args.json);
    let _ctrl_c = dashboard.then(CtrlCInDashboard::watch);
    let screen = if dashboard {
        Screen::Dashboard
    } else {
        Screen::Nothing
    };
    let mode = RunMode::from_flag(args.resume);
    let outcome = pretrain(&config, out, mode, screen)?;
    if args.json {
        return output::json(&PretrainReport::of(&outcome));
    }
    let measured = outcome.measured;
    let mut facts = vec![
        ("model", outcome.model.display().to_string()),
        ("steps", output::grouped(outcome.n_steps)),
        ("tokens of text", output::grouped(outcome.n_text_tokens)),
    ];
    if measured.nll_nats.is_finite() {
        facts.push((
            "held-out perplexity",
            output::perplexity(measured.nll_nats.exp()),
        ));
    }
    if let Some(share) = measured.passkeys {
        let n_found = share * N_PASSKEYS as f64;
        facts.push(("passkeys found", format!("{n_found:.0} of {N_PASSKEYS}")));
    }
    output::line(output::facts(&facts))?;
    let window = config.pretrain.phases.last().map(|phase| phase.window);
    next_steps::after_training(&config, &outcome.model, window).show();
    Ok(())
}

/// `pretrain --json`
#[derive(Serialize)]
struct PretrainReport<'a> {
    format: &'static str,
    version: u32,
    source: &'a ResultSource,
    model: String,
    steps: usize,
    text_tokens: usize,
    /// Absent without held-out text.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out_nll_nats: Option<f64>,
    /// Absent without generated documents with passkeys.
    #[serde(skip_serializing_if = "Option::is_none")]
    passkeys: Option<f64>,
}

impl<'a> PretrainReport<'a> {
    fn of(outcome: &'a PretrainOutcome) -> Self {
        let nll_nats = outcome.measured.nll_nats;
        Self {
            format: "longrope-pretraining",
            version: 1,
            source: &outcome.source,
            model: outcome.model.display().to_string(),
            steps: outcome.n_steps,
            text_tokens: outcome.n_text_tokens,
            held_out_nll_nats: Some(nll_nats).filter(|nats| nats.is_finite()),
            passkeys: outcome.measured.passkeys,
        }
    }
}

/// Refuses a model that is too large to train here.
fn check_memory(config: &Config) -> Result<()> {
    let key = match config.pretrain.config {
        Some(_) => "pretrain.config",
        None => "pretrain.model",
    };
    let model = config
        .pretrain
        .model_config()
        .with_context(|| format!("the model of `{key}`"))
        .context(Hint(
            "configs/README.md describes every key of [pretrain.model]".to_owned(),
        ))?;
    for phase in &config.pretrain.phases {
        let train = as_training(phase);
        let work = Work::Train {
            context: phase.window,
            config: &train,
        };
        memory::check(config, &model, work).with_context(|| format!("phase `{}`", phase.name))?;
    }
    Ok(())
}

/// What decides how much memory a phase takes. It keeps all activations.
fn as_training(phase: &PretrainPhase) -> TrainConfig {
    TrainConfig {
        batch: phase.batch,
        recompute: false,
        ..TrainConfig::default()
    }
}

/// Trains as configured, or resumes what the folder holds.
fn pretrain(config: &Config, out: &Path, mode: RunMode, screen: Screen) -> Result<PretrainOutcome> {
    let interrupt = signals::listen()?;
    let workers = device::workers(config)?;
    let placement = workers[0].placement.clone();
    let task = PretrainTask {
        config: config.pretrain.clone(),
        texts: read_texts(config)?,
        seed: config.seed,
        cache: match &config.data.cache {
            Some(folder) => TokenCache::new(folder.clone()),
            None => TokenCache::disabled(),
        },
        placement,
        workers,
        out: out.to_owned(),
        source: input::blank_source(config)?,
        screen,
    };
    task.validate()?;
    if mode == RunMode::New {
        check_enough_text(&config.pretrain, &task.texts.training)?;
    }
    let warnings = warnings(config, &task);
    // With the type that its weights have, as the settings of a fine-tuning.
    let mut resolved = config.clone();
    resolved.train.precision = WeightPrecision::F32;
    let settings = RunSettings {
        text: &resolved.to_toml()?,
        fixed: task.fixed(),
    };
    let _folder = RunFolder::open(out, RunKind::Pretrain, mode, &settings)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    let mut lines = PretrainLines::new(screen == Screen::Nothing);
    let outcome = task.run(&interrupt, move |event| {
        lines.show(event);
        Ok(())
    });
    outcome.map_err(|error| {
        // The model that the first phase begins with.
        let error = not_finite::explain(error.into(), Some(&out.join("start")));
        explain_interruption(error, RunKind::Pretrain, out, mode)
    })
}

/// What to say before a pretraining begins.
fn warnings(config: &Config, task: &PretrainTask) -> Vec<String> {
    let mut warnings = precision_of_pretraining(config);
    for phase in &config.pretrain.phases {
        let key = |key: &str| format!("`{key}` of phase `{}`", phase.name);
        let n_devices = task.workers.len();
        warnings.extend(device::idle(
            &key("accumulate"),
            phase.accumulate,
            n_devices,
        ));
        if let Some(skipped) = &phase.skipped {
            warnings.extend(curriculum(&key("skipped.targets"), skipped, phase.steps));
        }
    }
    warnings.extend(repetition(&config.pretrain, &task.texts.training));
    warnings
}

/// A training that sees each token this often learns the text by heart.
const MANY_TIMES: f64 = 20.0;

/// The most tokens that the text may have. They are known only with the tokenizer, but each has at least one byte, and
/// a document has a token before it and one after it.
fn most_tokens(documents: &[Document]) -> usize {
    documents
        .iter()
        .map(|document| document.text.len() + 2)
        .sum()
}

/// Refuses a text that is shorter than the window of a phase which is to train on it.
fn check_enough_text(config: &PretrainConfig, documents: &[Document]) -> Result<()> {
    let most = most_tokens(documents);
    let phases = config.phases.iter();
    let mut on_text = phases.filter(|phase| share_of_text(phase) > 0.0);
    let Some(phase) = on_text.find(|phase| phase.window > most) else {
        return Ok(());
    };
    Err(anyhow!(
        "the text has at most {most} tokens, expected at least one window of phase `{}`, {}",
        phase.name,
        phase.window
    )
    .context(Hint(
        "give more text, or a smaller `window`; phases with `shares.text` 0 need none".to_owned(),
    )))
}

/// What to say of a pretraining that surely sees the same text again and again; `None` of others.
fn repetition(config: &PretrainConfig, documents: &[Document]) -> Option<String> {
    let seen: f64 = config.phases.iter().map(text_tokens).sum();
    let most = most_tokens(documents);
    let n_times = seen / most.max(1) as f64;
    (n_times >= MANY_TIMES).then(|| {
        format!(
            "the text has at most {} tokens, each of which is seen at least {n_times:.0} times: give more text or fewer \
             `steps`, so that the model does not learn it by heart",
            output::grouped(most)
        )
    })
}

/// Tokens of text that a phase trains on.
fn text_tokens(phase: &PretrainPhase) -> f64 {
    let n_windows = phase.steps as f64 * phase.batch as f64 * phase.accumulate as f64;
    n_windows * phase.window as f64 * share_of_text(phase)
}

/// Share of the windows of a phase that are of text, from 0 to 1.
fn share_of_text(phase: &PretrainPhase) -> f64 {
    let shares = &phase.shares;
    let all = shares.text + shares.copying + shares.passkey + shares.recall;
    if all > 0.0 { shares.text / all } else { 0.0 }
}

/// Reads the configured text; without any, the sources of the crates this program is built from.
fn read_texts(config: &Config) -> Result<PretrainTexts> {
    let section = &config.pretrain;
    let spinner = progress::spinner("reading text");
    let texts = if config.text.is_empty() {
        let options = SourceOptions {
            only: section.source_crates.clone(),
            most_crate_bytes: section.most_crate_bytes,
            ..SourceOptions::default()
        };
        let corpus = cargo_sources::find(&options)?;
        cargo_sources::warn_of_missing("the training text", &corpus.missing);
        let n_crates = corpus.training.len();
        // Training windows are short, so each file is a document; measured windows are long, so each crate is one.
        let files = corpus.training.into_iter().flat_map(|source| source.files);
        PretrainTexts {
            training: files.collect(),
            held_out: corpus.held_out.iter().map(SourceCrate::joined).collect(),
            origin: format!("Rust sources of {n_crates} crates"),
            missing: corpus.missing,
        }
    } else {
        let held_out = if section.held_out.is_empty() {
            Vec::new()
        } else {
            input::read_documents(config, &section.held_out)?
        };
        let names = config.text.iter().map(|path| path.display().to_string());
        PretrainTexts {
            training: input::read_documents(config, &config.text)?,
            held_out,
            origin: names.collect::<Vec<_>>().join(", "),
            missing: Vec::new(),
        }
    };
    spinner.finish_and_clear();
    Ok(texts)
}

/// Reads the configuration; for a resumed run, from its run folder.
fn configuration(args: &args::Pretrain) -> Result<Config> {
    let flags = FlagLayer::default()
        .paths("text", &args.text)
        .path("out", args.out.as_ref())
        .number("seed", args.seed)
        .table();
    input::configuration_of_run(
        &args.common,
        flags,
        args.out.as_ref(),
        args.resume,
        RunKind::Pretrain,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_memory_of_a_phase_is_that_of_a_training_which_keeps_everything() {
        let phase = json!({
            "name": "a", "steps": 1, "batch": 7, "window": 64, "learning-rate": 1e-3,
            "shares": { "text": 1.0 }
        });
        let phase: PretrainPhase = serde_json::from_value(phase).unwrap();
        let training = as_training(&phase);
        assert_eq!((training.batch, training.recompute), (7, false));
    }

    #[test]
    fn little_text_is_refused_or_warned_of() {
        let config = |window: usize, text: f64| -> PretrainConfig {
            let phase = json!({
                "name": "a", "steps": 10, "batch": 2, "window": window, "learning-rate": 1e-3,
                "shares": { "text": text, "copying": 1.0 - text }
            });
            serde_json::from_value(json!({ "phases": [phase] })).unwrap()
        };
        let documents = [Document {
            source: "a.txt".to_owned(),
            text: "word ".repeat(6),
        }];
        let refused = |window, text| check_enough_text(&config(window, text), &documents).is_err();
        // 30 bytes, a token before them and one after.
        assert!(refused(33, 1.0) && !refused(32, 1.0) && !refused(33, 0.0));
        // 640 and 320 tokens of text.
        let said = repetition(&config(32, 1.0), &documents).unwrap();
        assert!(said.contains("at least 20 times"), "{said}");
        assert_eq!(repetition(&config(32, 0.5), &documents), None);
    }
}
