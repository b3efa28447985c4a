//! A pretraining from its text to its files.

use std::path::{Path, PathBuf};

use longrope_data::{TokenCache, counted, write_atomically};
use longrope_model::{Checkpoint, Decoder, Placement, Recompute, ResultSource, Trained};
use longrope_trainer::run::records::{self, Record};
use longrope_trainer::run::{
    Callbacks, Measurement, Phase, Rotaries, SkippingRun, TrainerStateSettings, keep_files,
    write_trainer_state,
};
use longrope_trainer::{Ending, HookResult, Screen, TrainerConfig, Worker, checkpoint};
use serde_json::{Value, json};

use super::card;
use super::config::{PretrainConfig, PretrainPhase};
use super::corpus::{Corpus, PretrainTexts};
use super::error::PretrainError;
use super::events::{PretrainEvent, SharedWatch};
use super::measure::Yardstick;
use super::start::{check_start, write_start};
use crate::error::Result;
use crate::interrupt::{Interrupt, Interrupted};

/// Saved states to keep of each phase.
const KEEP: usize = 2;

/// Everything a pretraining depends on.
pub struct PretrainTask {
    /// The settings.
    pub config: PretrainConfig,
    /// The text.
    pub texts: PretrainTexts,
    /// Seed of the weights, the order of documents and the generated documents.
    pub seed: u64,
    /// Cache of token ids.
    pub cache: TokenCache,
    /// The device of the model, or several with some of the layers each.
    pub placement: Placement,
    /// The devices that share the batches of a step; if empty, `placement` computes them all.
    pub workers: Vec<Worker>,
    /// Run folder.
    pub out: PathBuf,
    /// What the model is made from, for the results. The fields about model and text and the seed are filled in: the
    /// model is the one with random weights.
    pub source: ResultSource,
    /// What is drawn in the terminal.
    pub screen: Screen,
}

/// The result of a pretraining.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainOutcome {
    /// What the model was made from.
    pub source: ResultSource,
    /// Folder of the checkpoint.
    pub model: PathBuf,
    /// Tokens of the training text.
    pub n_text_tokens: usize,
    /// Steps of all phases.
    pub n_steps: usize,
    /// Measurement of the final model, at the window of the last phase. The loss is NaN without held-out text.
    pub measured: Measurement,
}

impl PretrainTask {
    /// Checks settings and text, as far as that is possible without a tokenizer.
    ///
    /// # Errors
    /// [`PretrainError`] for phases that cannot be, if there is no text, or if a model is in the way.
    pub fn validate(&self) -> Result<()> {
        self.config.validate()?;
        if self.texts.training.is_empty() {
            return Err(PretrainError::NoText.into());
        }
        let model = self.out.join("model");
        if model.exists() && !self.out.join("corpus.json").is_file() {
            return Err(PretrainError::ModelInPlace { folder: model }.into());
        }
        Ok(())
    }

    /// What must be the same for the pretraining to be resumed, with fingerprints of the texts.
    pub fn fixed(&self) -> Value {
        let mut fixed = json!({
            "pretrain.model": self.config.model,
            "pretrain.phases": self.config.phases,
            "pretrain.answer-weight": self.config.answer_weight,
            "pretrain.corpus-share": self.config.corpus_share,
            "seed": self.seed,
            "text": self.texts.training_fingerprint(),
            "held-out": self.texts.held_out_fingerprint(),
        });
        if let Some(keys) = &self.config.config {
            fixed["pretrain.config"] = Value::Object(keys.clone());
        }
        fixed
    }

    /// Trains all phases, or resumes from the latest saved state in the run folder.
    ///
    /// `watch` receives the progress. It is called on the training thread too, one event at a time.
    ///
    /// # Errors
    /// - [`PretrainError`] if the settings or the text do not allow the pretraining, or the start of a resumed one has
    ///   changed.
    /// - [`Error::Interrupted`](crate::Error::Interrupted) if `interrupt` is requested while a phase is trained, or the
    ///   dashboard is left. The state is saved.
    /// - [`Error::Trainer`](crate::Error::Trainer) if training fails, `watch` returns an error, or the run in the folder
    ///   has other settings or other text.
    /// - Text that cannot be tokenized, a model that cannot be made, and files that cannot be read or written.
    pub fn run(
        self,
        interrupt: &Interrupt,
        watch: impl FnMut(PretrainEvent<'_>) -> HookResult<()> + Send + 'static,
    ) -> Result<PretrainOutcome> {
        self.validate()?;
        let Self {
            config,
            texts,
            seed,
            cache,
            placement,
            workers,
            out,
            source,
            screen,
        } = self;
        warn_of_trained_text(&texts);
        let watch = SharedWatch::new(watch);
        let start = out.join("start");
        if start.join("config.json").is_file() {
            check_start(&start)?;
        } else {
            write_start(&config, &texts.training, seed, &start, &watch)?;
        }
        let corpus = Corpus::new(texts, &cache, &start, &watch)?;
        // One that an earlier version has begun goes on.
        if !out.join("metrics.jsonl").exists() {
            corpus.check_held_out(&config.phases)?;
        }
        let report = serde_json::to_string_pretty(&corpus.report)? + "\n";
        write_atomically(&out.join("corpus.json"), report.as_bytes())?;
        let source = ResultSource {
            model: start.display().to_string(),
            model_fingerprint: Checkpoint::open(&start)?.fingerprint()?,
            text_fingerprint: Some(corpus.report.text_fingerprint.clone()),
            seed: Some(seed),
            ..source
        };
        let run = Run {
            source,
            config,
            corpus,
            seed,
            placement,
            workers,
            out,
            screen,
        };
        let mut base = start;
        for phase_idx in 0..run.config.phases.len() {
            base = run.train(phase_idx, &base, interrupt, &watch)?;
        }
        run.finish(&base)
    }
}

/// A pretraining whose text is tokenized.
struct Run {
    source: ResultSource,
    config: PretrainConfig,
    corpus: Corpus,
    seed: u64,
    placement: Placement,
    workers: Vec<Worker>,
    out: PathBuf,
    screen: Screen,
}

impl Run {
    /// Trains one phase that begins with the model `base`, and returns the model it ends with.
    fn train(
        &self,
        phase_idx: usize,
        base: &Path,
        interrupt: &Interrupt,
        watch: &SharedWatch,
    ) -> Result<PathBuf> {
        let settings = &self.config.phases[phase_idx];
        let decoder =
            Decoder::load(base, &self.placement).map_err(|source| PretrainError::Load {
                folder: base.to_owned(),
                source,
            })?;
        let phase = self.phase(phase_idx, base, &decoder)?;
        let folder = phase.folder.clone();
        let callbacks = callbacks(settings, self.yardstick(settings)?, interrupt, watch);
        let (_, ending) = phase.train(decoder, callbacks)?;
        if ending == Ending::Interrupted {
            return Err(Interrupted.into());
        }
        let Some(last) = checkpoint::latest(&folder)? else {
            let phase = settings.name.clone();
            return Err(PretrainError::NoState { phase, folder }.into());
        };
        Ok(last.join("model"))
    }

    /// One phase as a run of the trainer, which resumes from its latest saved state if it has one.
    fn phase(&self, phase_idx: usize, base: &Path, decoder: &Decoder) -> Result<Phase> {
        let Self { config, corpus, .. } = self;
        let phase = &config.phases[phase_idx];
        let rope = &decoder.config().rope;
        let rotaries = match &phase.skipped {
            Some(skipped) => {
                let seed = self.seed.wrapping_add(phase_idx as u64);
                let run = SkippingRun {
                    window: phase.window,
                    longest: phase.window,
                    total_steps: phase.steps,
                    seed,
                };
                Rotaries::skipped(decoder, rope, skipped, run)?
            }
            None => Rotaries::new(decoder, rope, phase.window),
        };
        Ok(Phase {
            name: Some(phase.name.clone()),
            folder: self.out.join(format!("{}-{}", phase_idx + 1, phase.name)),
            base: base.to_owned(),
            metrics: self.out.join("metrics.jsonl"),
            model: self.out.join("model"),
            source: Some(self.source.clone()),
            trainer: trainer_config(phase),
            lora: None,
            workers: self.workers.clone(),
            windows: corpus.mixture(config, phase_idx, self.seed)?,
            rotaries,
            distillation: None,
            batch: phase.batch,
            accumulate: phase.accumulate,
            contexts: vec![phase.window],
            eval_every: config.eval_every,
            save_every: config.save_every,
            keep: KEEP,
            settings: json!({
                "phase": phase,
                "seed": self.seed,
                "answer-weight": config.answer_weight,
                "corpus-share": config.corpus_share,
                "text": corpus.report.text_fingerprint,
                "held-out": corpus.report.held_out_fingerprint,
                "tokenizer": corpus.report.tokenizer_fingerprint,
            }),
            resume: true,
            screen: self.screen,
            label: format!("pretrain: {}", phase.name),
        })
    }

    fn yardstick(&self, phase: &PretrainPhase) -> Result<Yardstick> {
        let passkeys = self.corpus.passkeys(&self.config, phase, self.seed);
        Yardstick::new(&self.corpus.held_out, phase.window, passkeys)
    }

    /// Measures the model of the last phase, and writes it with its card.
    fn finish(&self, base: &Path) -> Result<PretrainOutcome> {
        let Self { config, corpus, .. } = self;
        let decoder = Decoder::load(base, &self.placement)?;
        let measured = match config.phases.last() {
            Some(phase) => self.yardstick(phase)?.measure(&decoder)?,
            None => f64::NAN.into(),
        };
        let card = card::text(config, self.seed, &corpus.report, measured);
        let model = self.out.join("model");
        let records = records::read(&self.out.join("metrics.jsonl"))?;
        let state = TrainerStateSettings {
            max_steps: config.phases.iter().map(|phase| phase.steps).sum(),
            eval_steps: config.eval_every,
            save_steps: config.save_every,
            batch: config.phases.last().map_or(0, |phase| phase.batch),
        };
        write_model(base, &model, &card, &records, state)?;
        Ok(PretrainOutcome {
            source: self.source.clone(),
            model,
            n_text_tokens: corpus.report.n_tokens,
            n_steps: config.phases.iter().map(|phase| phase.steps).sum(),
            measured,
        })
    }
}

/// Warns of held-out text that is trained on.
fn warn_of_trained_text(texts: &PretrainTexts) {
    let n_known = texts.n_not_held_out();
    if n_known > 0 {
        tracing::warn!(
            "`pretrain.held-out` is not held out: the training text has {n_known} of its {}",
            counted(texts.held_out.len(), "document")
        );
    }
}

/// Schedule and optimizer of a phase.
fn trainer_config(phase: &PretrainPhase) -> TrainerConfig {
    TrainerConfig {
        schedule: phase.schedule(),
        optimizer: phase.optimizer(),
        trained: Trained::All,
        // Small models and short windows: there is memory for all activations.
        recompute: Recompute::Nothing,
    }
}

/// Measures with the yardstick, passes the progress on, and stops when asked to.
fn callbacks(
    phase: &PretrainPhase,
    yardstick: Yardstick,
    interrupt: &Interrupt,
    watch: &SharedWatch,
) -> Callbacks {
    let (phase, interrupt, watch) = (phase.clone(), interrupt.clone(), watch.clone());
    Callbacks {
        measure: Box::new(move |decoder, _step, _context| Ok(yardstick.measure(decoder)?)),
        watch: Box::new(move |event| {
            watch.try_event(PretrainEvent::Phase {
                phase: &phase,
                event,
            })
        }),
        should_stop: Box::new(move || interrupt.requested()),
    }
}

/// Copies the model of the last state and adds a card and the history. What others have put into an earlier `to` stays. A
/// failure leaves it as it was.
fn write_model(
    from: &Path,
    to: &Path,
    card: &str,
    records: &[Record],
    state: TrainerStateSettings,
) -> Result<()> {
    // What a killed process had ready is put in its place first, with what others have put there.
    longrope_data::remove_leftovers(to, ".saving-");
    longrope_data::replace_folder(to, ".saving-", |folder| {
        for entry in fs_err::read_dir(from)? {
            let path = entry?.path();
            if let Some(name) = path.file_name() {
                fs_err::copy(&path, folder.join(name))?;
            }
        }
        write_trainer_state(folder, records, state)?;
        fs_err::write(folder.join("README.md"), card)?;
        Ok(keep_files(to, folder)?)
    })
}
