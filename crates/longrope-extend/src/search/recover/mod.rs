//! Factors for short contexts of an extended model.
//!
//! Factors for a long context harm short ones. A recovery searches, context by context, for factors with a reduced bound
//! and adds them as further factor sets (LongRoPE, arXiv 2402.13753, section 3.3).
//!
//! Samples are as long as the context, below the original window too, and the RoPE as it was is measured on the same ones as
//! the factors found: losses of windows of other lengths say nothing about factors. The search starts from the RoPE as it was,
//! with its attention scale, and factors are kept if they are better by more than chance on what the search minimizes.

mod problem;
mod settings;
mod warnings;

use std::path::Path;

use longrope_data::text_fingerprint;
use longrope_eval::Difference;
use longrope_model::ResultSource;
use longrope_rope::{Provenance, RopeArtifact, RopeScaling, RopeSpec};
use longrope_search::TargetRope;
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::json_files::read_json;
use crate::run_folder::{RunFolder, RunKind, RunMode, RunSettings};
use crate::search::adapt::AdaptConfig;
use crate::search::calibration::{Calibration, CalibrationOptions};
use crate::search::events::Watch;
use crate::search::held_out::split::HeldOutShare;
use crate::search::inputs::SearchInputs;
use crate::search::methods::compared::Compared;
use crate::search::methods::measured::{NamedSpec, SEARCHED};
use crate::search::result::{RESULT_FILE, SearchResult};
use crate::search::saved::state::{STATE_FILE, read_state};
use crate::search::task::SearchTask;

pub use settings::RecoverySettings;
use warnings::{warn_of_lost_sets, warn_of_one_sample};

/// The result of a recovery at one context.
#[derive(Clone, Debug, Serialize)]
pub struct Recovered {
    /// The context, tokens.
    pub context: usize,
    /// Mean loss of the RoPE as it was on text, nats per token.
    pub before_nats: f64,
    /// Mean loss of the factors found on the same text, nats per token.
    pub after_nats: f64,
    /// Candidates that were measured.
    pub evaluations: usize,
    /// The objective of the factors found minus that of the RoPE as it was, on the same samples. The search chose the factors
    /// on them, so other text gains less.
    pub difference: Difference,
    /// Whether the factors are in the result, which has only factors that are better by more than chance.
    pub kept: bool,
}

/// A finished recovery.
#[derive(Clone, Debug)]
pub struct Recovery {
    /// What it was measured on.
    pub source: ResultSource,
    /// Every context, shortest first.
    pub contexts: Vec<Recovered>,
    /// The RoPE with all factor sets, as it is saved in `rope.json`.
    pub spec: RopeSpec,
}

/// Everything a recovery depends on.
#[derive(Clone, Debug)]
pub struct RecoveryTask<'a> {
    /// Model, text and settings. The bounds of the evolution are replaced by `max_factor_ratio`.
    pub inputs: SearchInputs<'a>,
    /// Largest factor allowed, as a multiple of context / original context, or of 1 for shorter contexts.
    pub max_factor_ratio: f64,
    /// The RoPE of the extended model.
    pub known: RopeSpec,
    /// Contexts to recover, tokens, in any order. With [`RunMode::Resume`], also those that are finished.
    pub contexts: Vec<usize>,
    /// Run folder. The search for a context has the folder `context-N` in it.
    pub out: &'a Path,
    /// Whether to begin or to continue the recovery in that folder.
    pub mode: RunMode,
}

impl RecoveryTask<'_> {
    /// Searches factors for every context, or for the remaining ones, and writes `rope.json` with all factor sets.
    ///
    /// # Errors
    /// As [`SearchTask::run`]; also if the RoPE has no factor sets or is made for shorter contexts, or the length of samples
    /// is given.
    pub fn run(mut self, interrupt: &Interrupt, mut watch: Watch<'_>) -> Result<Recovery> {
        if !matches!(self.known.scaling, RopeScaling::LongRope { .. }) {
            return Err(Error::NoFactorSets);
        }
        if let Some(found) = self.inputs.sample_context {
            return Err(Error::RecoverySamples { found });
        }
        let mut contexts = std::mem::take(&mut self.contexts);
        contexts.sort_unstable();
        contexts.dedup();
        let longest = self.known.max_context();
        if let Some(&context) = contexts.last()
            && context > longest
        {
            return Err(Error::BeyondFactors { longest, context });
        }
        for &context in &contexts {
            self.validate(context)
                .map_err(|source| recovering(context, source))?;
        }
        let settings = RunSettings {
            text: &self.inputs.settings,
            fixed: self.fixed(),
        };
        let run = RunFolder::open(self.out, RunKind::Recover, self.mode, &settings)?;
        if self.mode == RunMode::Resume {
            contexts.extend(finished_contexts(self.out));
            contexts.sort_unstable();
            contexts.dedup();
        }
        warn_of_one_sample(&self.inputs.calibration);
        let mut recovered = Vec::with_capacity(contexts.len());
        for context in contexts {
            let gain = self
                .recover(context, interrupt, watch.reborrow())
                .map_err(|source| recovering(context, source))?;
            recovered.push(gain);
        }
        let provenance = Provenance {
            tool_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            model_fingerprint: Some(self.inputs.source.model_fingerprint.clone()),
            text_fingerprint: self.inputs.source.text_fingerprint.clone(),
            seed: Some(self.inputs.calibration.seed),
            profile: Some(format!("{}, recovered", self.inputs.profile)),
            target_context: Some(self.known.max_context()),
            ..Provenance::default()
        };
        let local = self.inputs.models.decoder().config().local_rope.clone();
        let artifact = RopeArtifact::from_spec(&self.known, provenance).with_local(local.as_ref());
        warn_of_lost_sets(&run.path("rope.json"), &self.known);
        run.write("rope.json", &artifact.to_json_pretty())?;
        Ok(Recovery {
            source: self.inputs.source,
            contexts: recovered,
            spec: self.known,
        })
    }

    /// Searches factors for one context and adds them to the known ones if they are better.
    fn recover(
        &mut self,
        context: usize,
        interrupt: &Interrupt,
        watch: Watch<'_>,
    ) -> Result<Recovered> {
        let target = TargetRope::beside(&self.known, context);
        let problem = self.problem(context, &target);
        let folder = self.out.join(format!("context-{context}"));
        let evolution = match self.begun_evolution(&folder)? {
            Some(evolution) => evolution,
            None => self.evolution(&target, &problem)?,
        };
        let init = self.known_candidate(&target, &evolution, &problem)?;
        // If one of the two is damaged, the search measures again or says so.
        let result = read_json::<SearchResult>(&folder.join(RESULT_FILE)).ok();
        let state = read_state(&folder.join(STATE_FILE)).ok();
        let (evaluations, best) = if let Some((result, state)) = result.zip(state) {
            (result.evaluations, state.best().cloned())
        } else {
            let task = SearchTask {
                inputs: SearchInputs {
                    evolution,
                    held_out: HeldOutShare::NOTHING,
                    ..self.inputs.clone()
                },
                target: target.clone(),
                problem,
                init: init.into_iter().collect(),
                out: &folder,
                mode: RunMode::Part,
                methods_first: false,
                // Short contexts have no positions that the model has not seen.
                adapt: AdaptConfig::default(),
                chooses_objective: false,
            };
            let outcome = task.run(interrupt, watch)?;
            (outcome.result.evaluations, outcome.search.best().cloned())
        };
        let best = best.ok_or(Error::NoCandidate)?.candidate;
        let compared = self.compare(context, target.candidate_spec(&best)?, interrupt)?;
        let kept = compared.is_better();
        if kept {
            // Beside the sets that are known now: the rope.json of the search has those that were known when it ended.
            self.known = target.artifact_spec(&best)?;
        }
        Ok(Recovered {
            context,
            before_nats: compared.before_nats,
            after_nats: compared.after_nats,
            evaluations,
            difference: compared.difference,
            kept,
        })
    }

    /// What must be the same for a recovery to be continued.
    fn fixed(&self) -> Value {
        let inputs = &self.inputs;
        let settings = RecoverySettings {
            known: &self.known,
            profile: &inputs.profile,
            max_factor_ratio: self.max_factor_ratio,
            evolution: &inputs.evolution,
            calibration: &inputs.calibration,
        };
        let mut fixed = settings.fixed();
        fixed["search.sample-context"] = json!(inputs.sample_context);
        fixed["rope-layers"] = json!(inputs.source.rope_layers.as_deref().unwrap_or("full"));
        fixed["model"] = json!(inputs.source.model_fingerprint);
        fixed["text"] = json!(text_fingerprint(inputs.documents));
        if let Some(precision) = inputs.source.half_precision() {
            fixed["precision"] = json!(precision);
        }
        fixed
    }

    /// The known RoPE and the one that was searched, on the samples of the search.
    fn compare(
        &self,
        context: usize,
        searched: RopeSpec,
        interrupt: &Interrupt,
    ) -> Result<Compared> {
        let inputs = &self.inputs;
        let options = CalibrationOptions {
            passkey_trials: 0,
            ..inputs.calibration.clone()
        };
        let calibration = Calibration::new(&options, inputs.documents, inputs.tokenizer, context)?;
        let before = NamedSpec::new("before", self.known.clone());
        let after = NamedSpec::new(SEARCHED, searched);
        Compared::measure(inputs.models, &calibration, &before, &after, interrupt)
    }
}

/// The contexts whose search in this folder is over, in any order.
fn finished_contexts(out: &Path) -> Vec<usize> {
    let entries = fs_err::read_dir(out).into_iter().flatten().flatten();
    let finished = entries.filter_map(|entry| {
        let name = entry.file_name();
        let context = name.to_str()?.strip_prefix("context-")?.parse().ok()?;
        entry.path().join(RESULT_FILE).is_file().then_some(context)
    });
    finished.collect()
}

/// An error with the context that was recovered.
fn recovering(context: usize, source: Error) -> Error {
    Error::Recovering {
        context,
        source: Box::new(source),
    }
}
