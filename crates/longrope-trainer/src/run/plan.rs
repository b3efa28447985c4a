//! Trains a checkpoint under a RoPE, and writes the result as a checkpoint.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longrope_data::{Mixture, TokenDocument, Tokenizer, text_fingerprint};
use longrope_model::{Checkpoint, Decoder, LoraConfig, ModelConfig, ResultSource};
use longrope_rope::RopeSpec;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::as_before::{AsBefore, have_ends};
use super::callbacks::Callbacks;
use super::config::TrainConfig;
use super::distill::Distillation;
use super::mixture::Sources;
use super::phase::Phase;
use super::records::{self, Record};
use super::rotaries::{Rotaries, SkippingRun};
use super::trained_model::TrainedModel;
use super::trainer_state::TrainerStateSettings;
use crate::error::Result;
use crate::session::{Ending, Screen};
use crate::workers::Worker;

/// The setting that says how generated documents are tokenized, where that has changed.
const GENERATED: &str = "generated-documents";

/// What to train, on what, and where to put it.
pub struct TrainPlan {
    /// Folder of the run: `metrics.jsonl`, saved states `step-N`, and at the end `model`.
    pub folder: PathBuf,
    /// The checkpoint to begin with.
    pub base: PathBuf,
    /// Its weights, loaded in the precision of `config`.
    pub decoder: Decoder,
    /// The devices that share the micro-batches of a step; if empty, the device of `decoder` computes them all.
    pub workers: Vec<Worker>,
    /// The RoPE to train under.
    pub rope: RopeSpec,
    /// Tokens of a window.
    pub context: usize,
    /// Text to train on; may be empty if all windows are generated.
    pub documents: Vec<TokenDocument>,
    /// Token to put before every document; see [`document_bos`](longrope_data::document_bos).
    pub bos: Option<u32>,
    /// What is done as the earlier version did that began the run.
    pub as_before: AsBefore,
    /// The settings. The keys `context`, `eval-text`, `eval-windows` and `precision` are for the caller to apply; they
    /// only count as settings that must not change when the run is resumed.
    pub config: TrainConfig,
    /// Context lengths to measure, tokens; if empty, nothing is measured.
    pub contexts: Vec<usize>,
    /// Seed of the order of documents, generated documents and new adapters.
    pub seed: u64,
    /// What else must be the same when the run is resumed, by name, such as `eval-text`: the fingerprint of the text that
    /// `measure` of the [`Callbacks`] reads.
    pub fixed: Map<String, Value>,
    /// What the training is made from, for its results. The fields about model and text and the seed are filled in; the name
    /// of the model only if it is empty.
    pub source: ResultSource,
    /// Whether to resume from the latest saved state, if there is one.
    pub resume: bool,
    /// What is drawn in the terminal.
    pub screen: Screen,
    /// Name of the run, shown by the dashboard.
    pub label: String,
}

/// How a training run ended.
#[derive(Clone, Debug)]
pub enum TrainOutcome {
    /// After its last step.
    Done(Box<TrainResult>),
    /// Earlier, because the caller or the dashboard asked for it; the state is saved and can be resumed.
    Interrupted,
}

/// The result of a training run.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct TrainResult {
    /// `longrope-training`
    pub format: &'static str,
    /// Version of the format.
    pub version: u32,
    /// What the training was made from.
    pub source: ResultSource,
    /// Folder of the trained checkpoint.
    #[serde(serialize_with = "as_shown")]
    pub model: PathBuf,
    /// Steps made.
    pub steps: usize,
    /// Tokens that went through the model.
    pub n_tokens: usize,
    /// Mean loss of the first tenth of the steps, nats per token.
    pub first_nats: f64,
    /// Mean loss of the last tenth of the steps, nats per token.
    pub last_nats: f64,
    /// Duration of all steps, seconds.
    pub step_secs: f64,
    /// Peak memory of the process, bytes.
    pub peak_memory_bytes: Option<u64>,
    /// All measurements, as [`Record::Eval`].
    pub evals: Vec<Record>,
}

/// A path as text, because JSON has no other bytes.
fn as_shown<S: Serializer>(path: &Path, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}

/// Trains to the last step, and writes the trained weights (adapters merged) as a checkpoint to `model` in the run's
/// folder. Its `config.json` has the RoPE of the training.
///
/// # Errors
/// Those of [`TrainPlan::prepare`] and [`PreparedRun::train`].
pub fn train(plan: TrainPlan, callbacks: Callbacks) -> Result<TrainOutcome> {
    plan.prepare()?.train(callbacks)
}

/// A run whose settings, data and adapters are valid. Nothing is written yet.
pub struct PreparedRun {
    decoder: Decoder,
    phase: Phase,
    source: ResultSource,
    trained_model: TrainedModel,
}

impl TrainPlan {
    /// Checks the settings and makes windows and adapters, without writing anything.
    ///
    /// # Errors
    /// - [`Error::NothingToTrainOn`](crate::Error::NothingToTrainOn) and [`Error::Windows`](crate::Error::Windows) if the
    ///   data of the configuration cannot be made.
    /// - [`Error::ModelInPlace`](crate::Error::ModelInPlace) if the folder `model` is there before a new run begins.
    /// - [`Error::StatesGone`](crate::Error::StatesGone) if the run is to be resumed, and its saved states were removed.
    /// - [`Error::Setting`](crate::Error::Setting) if a setting is out of range.
    /// - A RoPE that the `config.json` of this family cannot express.
    /// - Adapters that do not fit the model.
    pub fn prepare(mut self) -> Result<PreparedRun> {
        let model = self.decoder.config().clone();
        self.config = self.config.resolved(&model);
        self.config.validate(&model, self.context)?;
        let trained_model = TrainedModel::plan(
            self.folder.join("model"),
            &self.base,
            &self.decoder,
            &self.rope,
            self.config.reach(self.context),
            self.resume,
        )?;
        let documents: Arc<[TokenDocument]> = std::mem::take(&mut self.documents).into();
        let (windows, tokenizer) = self.windows(&documents, &model)?;
        let (rotaries, distillation) = self.angles()?;
        let lora = self.add_adapters()?;
        let source = self.made_from(&documents)?;
        let mut settings = self.settings(&source, tokenizer.as_deref());
        self.record_windows(&rotaries, &documents, &mut settings);
        let phase = Phase {
            name: None,
            metrics: self.folder.join("metrics.jsonl"),
            model: self.folder.join("model"),
            source: Some(source.clone()),
            trainer: self.config.trainer(),
            lora,
            windows,
            rotaries,
            distillation,
            batch: self.config.batch,
            accumulate: self.config.accumulate,
            eval_every: self.config.eval_every,
            save_every: self.config.save_every,
            keep: self.config.keep,
            settings,
            folder: self.folder,
            base: self.base,
            workers: self.workers,
            contexts: self.contexts,
            resume: self.resume,
            screen: self.screen,
            label: self.label,
        };
        phase.check_states()?;
        Ok(PreparedRun {
            decoder: self.decoder,
            phase,
            source,
            trained_model,
        })
    }

    /// The windows, and the tokenizer of generated documents, if there are any.
    fn windows(
        &self,
        documents: &Arc<[TokenDocument]>,
        model: &ModelConfig,
    ) -> Result<(Mixture, Option<Arc<Tokenizer>>)> {
        let used = OnceCell::new();
        let tokenizer = || -> longrope_data::Result<_> {
            if let Some(loaded) = used.get() {
                return Ok(Arc::clone(loaded));
            }
            let loaded = Arc::new(Tokenizer::from_model_dir(&self.base)?);
            Ok(Arc::clone(used.get_or_init(|| loaded)))
        };
        let sources = Sources {
            train: &self.config,
            documents,
            tokenizer: Some(&tokenizer),
            model,
            bos: self.bos,
            as_before: self.as_before,
        };
        let windows = sources.mixture(self.context, self.seed)?;
        Ok((windows, used.into_inner()))
    }

    /// The angles of all windows, and the original model for those that are compared with it. The decoder has no adapters
    /// yet, and its weights have not changed.
    fn angles(&self) -> Result<(Rotaries, Option<Distillation>)> {
        let (decoder, rope) = (&self.decoder, &self.rope);
        let (context, config) = (self.context, &self.config);
        let longest = config.longest_window(context);
        let rotaries = match config.skips() {
            Some(skipped) => {
                let run = SkippingRun {
                    window: context,
                    longest,
                    total_steps: config.steps,
                    seed: self.seed,
                };
                Rotaries::skipped(decoder, rope, skipped, run)?
            }
            None => Rotaries::of_lengths(decoder, rope, context, longest),
        };
        let rotaries = if self.as_before.angles {
            rotaries.like_before()
        } else {
            rotaries
        };
        if !config.distill.is_on() {
            return Ok((rotaries, None));
        }
        let rotaries = rotaries.with_short(decoder, rope, context);
        let distillation = Distillation::new(decoder, rotaries.original(), &config.distill);
        Ok((rotaries, Some(distillation)))
    }

    /// Adds to the settings how windows differ from those of earlier versions.
    fn record_windows(
        &self,
        rotaries: &Rotaries,
        documents: &[TokenDocument],
        settings: &mut Value,
    ) {
        let data = &self.config.data;
        let are_confined = self.config.distill.is_on()
            || data.shortest_document.is_some()
            || (data.short > 0.0 && rotaries.queries_grow());
        let angles_differ = rotaries.differ_from_before(are_confined);
        let eos = self.decoder.config().eos_tokens.first().copied();
        let fillers_differ = data.has_generated_text() && have_ends(documents, self.bos, eos);
        self.as_before
            .record(angles_differ, fillers_differ, settings);
    }

    /// What the training is made from, with what the caller leaves open.
    fn made_from(&mut self, documents: &[TokenDocument]) -> Result<ResultSource> {
        let given = std::mem::take(&mut self.source);
        let name = Some(given.model.clone()).filter(|name| !name.is_empty());
        Ok(ResultSource {
            model: name.unwrap_or_else(|| self.base.display().to_string()),
            model_fingerprint: Checkpoint::open(&self.base)?.fingerprint()?,
            text_fingerprint: Some(text_fingerprint(documents)),
            seed: Some(self.seed),
            ..given
        })
    }

    /// Gives the decoder new adapters if those are trained, and returns their settings.
    fn add_adapters(&mut self) -> Result<Option<LoraConfig>> {
        let lora = self.config.adapters(self.decoder.config());
        if lora.is_none() && !self.config.modules_to_save.is_empty() {
            tracing::warn!("train.modules-to-save has no effect, because all weights are trained");
        }
        if let Some(lora) = &lora {
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            self.decoder.add_adapters(lora, &mut rng)?;
        }
        Ok(lora)
    }

    /// Everything that must be the same for the run to be resumed. `tokenizer` is that of generated documents, if there are
    /// any.
    fn settings(&self, source: &ResultSource, tokenizer: Option<&Tokenizer>) -> Value {
        let mut settings = json!({
            "train": self.config,
            "context": self.context,
            "rope": self.rope,
            "seed": self.seed,
            "model": source.model_fingerprint,
            "text": source.text_fingerprint,
        });
        if let Some(tokenizer) = tokenizer {
            settings["tokenizer"] = tokenizer.fingerprint().into();
            // Earlier versions put a space before every piece of a document.
            if tokenizer.marks_beginnings() && self.config.data.has_generated_text() {
                settings[GENERATED] = "tokenized like whole texts".into();
            }
        }
        for (name, value) in &self.fixed {
            settings[name] = value.clone();
        }
        settings
    }
}

impl PreparedRun {
    /// Everything that must be the same for the run to be resumed.
    pub fn settings(&self) -> &Value {
        &self.phase.settings
    }

    /// Trains to the last step, and writes the trained weights as [`train`] does.
    ///
    /// # Errors
    /// Those of [`Phase::train`].
    pub fn train(self, callbacks: Callbacks) -> Result<TrainOutcome> {
        let Self {
            decoder,
            phase,
            source,
            trained_model,
        } = self;
        let metrics = phase.metrics.clone();
        let state = TrainerStateSettings {
            max_steps: phase.trainer.schedule.total_steps,
            eval_steps: phase.eval_every,
            save_steps: phase.save_every,
            batch: phase.batch,
        };
        let (trainer, ending) = phase.train(decoder, callbacks)?;
        if ending == Ending::Interrupted {
            return Ok(TrainOutcome::Interrupted);
        }
        let mut decoder = trainer.into_decoder();
        decoder.merge_adapters();
        let records = records::read(&metrics)?;
        let written = trained_model.write(&decoder, &records, state)?;
        Ok(TrainOutcome::Done(Box::new(summary(
            records, source, written,
        ))))
    }
}

fn summary(records: Vec<Record>, source: ResultSource, model: PathBuf) -> TrainResult {
    let mut losses = Vec::new();
    let (mut steps, mut n_tokens, mut step_secs, mut peak) = (0, 0, 0.0, None);
    for record in &records {
        if let Record::Step {
            nll_nats,
            n_tokens: tokens,
            elapsed_secs,
            peak_memory_bytes,
            ..
        } = record
        {
            steps += 1;
            // Skipped steps may have no loss.
            losses.extend(nll_nats.is_finite().then_some(*nll_nats));
            n_tokens += tokens;
            step_secs += elapsed_secs;
            peak = peak.max(*peak_memory_bytes);
        }
    }
    let tenth = losses.len().div_ceil(10).max(1);
    let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len().max(1) as f64;
    TrainResult {
        format: "longrope-training",
        version: 1,
        source,
        model,
        steps,
        n_tokens,
        first_nats: mean(&losses[..tenth.min(losses.len())]),
        last_nats: mean(&losses[losses.len().saturating_sub(tenth)..]),
        step_secs,
        peak_memory_bytes: peak,
        evals: records
            .into_iter()
            .filter(|record| matches!(record, Record::Eval { .. }))
            .collect(),
    }
}
