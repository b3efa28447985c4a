//! A search from its inputs to its files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use longrope_search::{Candidate, Search, SearchConfig, SearchProblem, SearchState, TargetRope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calibration::Calibration;
use super::events::Watch;
use super::inputs::SearchInputs;
use super::objective::ModelObjective;
use super::objective_kind::ObjectiveKind;
use super::result::SearchOutcome;
use super::run::{SearchRun, save_state};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::run_dir::{RunDir, read_json};

/// Everything a search depends on.
#[derive(Clone, Debug)]
pub struct SearchTask<'a> {
    /// Model, text and settings.
    pub inputs: SearchInputs<'a>,
    /// What candidates stand for.
    pub target: TargetRope,
    /// What is searched for; usually [`TargetRope::problem`] of `target`.
    pub problem: SearchProblem,
    /// Candidates to start from, beside the seeds.
    pub init: Vec<Candidate>,
    /// Run folder.
    pub out: &'a Path,
    /// Whether to continue the search in that folder.
    pub resume: bool,
    /// Whether to measure the methods before the search instead of after it.
    pub methods_first: bool,
}

impl SearchTask<'_> {
    /// Runs the search, or what is left of it.
    ///
    /// The run folder gets `config.toml`, `search/inputs.json`, `search/state.json` and `metrics.jsonl` after every
    /// generation, and `search/result.json` and `rope.json` at the end.
    ///
    /// # Errors
    /// If the inputs do not allow the search, the folder holds another one, an interrupt is requested, or the model or
    /// all devices fail. The state is saved in the last cases.
    pub fn run(self, interrupt: &Interrupt, watch: Watch<'_>) -> Result<SearchOutcome> {
        let problem = self.problem;
        problem.validate()?;
        let inputs = self.inputs;
        let context = sample_context(inputs.sample_context, &problem)?;
        let options = &inputs.calibration;
        let calibration = Calibration::new(options, inputs.documents, inputs.tokenizer, context)?;
        let recorded = Recorded::new(&inputs, &calibration, &self.target);
        let (run, search) = if self.resume {
            let run = RunDir::resume(self.out)?;
            let search = resume(&run, options.seed, &inputs.evolution, &problem)?;
            recorded.check(&run)?;
            (run, search)
        } else {
            let search = Search::with_init(problem, inputs.evolution, self.init, options.seed)?;
            let run = RunDir::create(self.out)?;
            run.write("config.toml", &inputs.settings)?;
            run.write_json(INPUTS_FILE, &recorded)?;
            (run, search)
        };
        // Saved before the first generation, so that a run killed during it can be resumed.
        save_state(&run, &search)?;
        let samples = calibration.samples.iter().cloned();
        let objective =
            ModelObjective::on_devices(inputs.models, &self.target, samples, interrupt)?;
        let setting = SearchRun {
            run: &run,
            calibration: &calibration,
            target: &self.target,
            profile: &inputs.profile,
            objective: options.objective,
            model_fingerprint: recorded.model_fingerprint,
            text_fingerprint: recorded.text_fingerprint,
            methods_first: self.methods_first,
        };
        setting.finish_search(search, objective.with_watch(watch))
    }
}

/// Tokens of a sample: those of the target, or fewer, as a cheap proxy.
fn sample_context(wanted: Option<usize>, problem: &SearchProblem) -> Result<usize> {
    let (original, target) = (problem.original_context, problem.target_context);
    match wanted {
        // Up to the original context, rescaling can only do harm.
        Some(found) if found <= original && found < target => {
            Err(Error::SampleContext { found, original })
        }
        Some(context) => Ok(context.min(target)),
        None => Ok(target),
    }
}

/// Resumes a search.
///
/// # Errors
/// If its state cannot be read, or its settings differ from the present ones.
fn resume(
    run: &RunDir,
    seed: u64,
    evolution: &SearchConfig,
    problem: &SearchProblem,
) -> Result<Search> {
    let path = run.search_state();
    let text = fs_err::read_to_string(&path)?;
    let state = SearchState::from_json(&text).map_err(|source| Error::ReadState {
        path: path.clone(),
        source,
    })?;
    let mut other = differences("", state.problem(), problem)?;
    other.extend(differences(
        "search.",
        &state.config().clone().canonical(),
        &evolution.clone().canonical(),
    )?);
    other.extend(differences(
        "",
        &BTreeMap::from([("seed", state.seed())]),
        &BTreeMap::from([("seed", seed)]),
    )?);
    if !other.is_empty() {
        return Err(Error::OtherSettings {
            path,
            differences: other.join(", "),
        });
    }
    Ok(Search::resume(state)?)
}

/// Keys with different values, each with the saved and the present value.
fn differences(section: &str, saved: &impl Serialize, now: &impl Serialize) -> Result<Vec<String>> {
    let (saved, now) = (serde_json::to_value(saved)?, serde_json::to_value(now)?);
    let keys: BTreeSet<&String> = [&saved, &now]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(serde_json::Map::keys)
        .collect();
    let text = |value: &Value, key: &str| {
        value
            .get(key)
            .map_or_else(|| "absent".to_owned(), ToString::to_string)
    };
    let differing = keys.into_iter().filter_map(|key| {
        let (saved, now) = (text(&saved, key), text(&now, key));
        (saved != now).then(|| format!("`{section}{key}` was {saved} and is {now}"))
    });
    Ok(differing.collect())
}

/// `search/inputs.json`: the inputs of the scores. A search can be resumed only with the same inputs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Recorded {
    format: String,
    version: u32,
    model_fingerprint: String,
    text_fingerprint: String,
    /// What is minimized, with its weight.
    objective: String,
    /// The factors that the ratios of a candidate multiply, if candidates are ratios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ground: Option<Vec<f64>>,
}

const INPUTS_FILE: &str = "search/inputs.json";

impl Recorded {
    fn new(inputs: &SearchInputs, calibration: &Calibration, target: &TargetRope) -> Self {
        let options = &inputs.calibration;
        let objective = match options.objective {
            ObjectiveKind::Combined => format!("combined, needles {}", options.needle_weight),
            other => other.description().to_owned(),
        };
        Self {
            format: "longrope-search-inputs".to_owned(),
            version: 2,
            model_fingerprint: inputs.model_fingerprint.clone(),
            text_fingerprint: calibration.fingerprint(),
            objective,
            ground: target.ground().map(<[f64]>::to_vec),
        }
    }

    /// Checks that the search was started with the same inputs.
    fn check(&self, run: &RunDir) -> Result<()> {
        let path = run.path(INPUTS_FILE);
        if !path.is_file() {
            return Err(Error::InputsMissing { path });
        }
        let saved: Self = read_json(&path)?;
        let what = if saved.model_fingerprint != self.model_fingerprint {
            "model"
        } else if saved.text_fingerprint != self.text_fingerprint {
            "text"
        } else if saved.objective != self.objective {
            "objective"
        } else if saved.ground != self.ground {
            "rope.json of `search.init`"
        } else {
            return Ok(());
        };
        Err(Error::OtherInputs { what })
    }
}
