//! A search from its inputs to its files: what `search` and `recover` have in common.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::TokenDocument;
use longrope_model::Checkpoint;
use longrope_search::{Candidate, Search, SearchConfig, SearchProblem, SearchState, TargetRope};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::calibration::Calibration;
use crate::failure;
use crate::hint::Hint;
use crate::input;
use crate::models::Models;
use crate::run_dir::RunDir;
use crate::search_run::{SearchResult, SearchSetting, run_search};
use crate::settings::config::{Config, ObjectiveSetting};
use crate::signals::{Interrupt, Interrupted};

/// Everything a search depends on.
pub(crate) struct SearchTask<'a> {
    pub(crate) config: &'a Config,
    /// The settings of the evolution, which need not be those of the configuration.
    pub(crate) evolution: SearchConfig,
    pub(crate) models: &'a Models,
    pub(crate) documents: &'a [TokenDocument],
    pub(crate) problem: SearchProblem,
    pub(crate) rope: TargetRope,
    /// Candidates to start from beside the seeds.
    pub(crate) init: Vec<Candidate>,
    /// Run folder.
    pub(crate) out: &'a Path,
    /// Whether to go on with what is there.
    pub(crate) resume: bool,
    /// Whether to draw a dashboard, if there is a terminal for it.
    pub(crate) tui: bool,
}

impl SearchTask<'_> {
    /// Runs the search, or what is left of it.
    pub(crate) fn run(self, interrupt: &Interrupt) -> Result<SearchResult> {
        let Self { config, models, .. } = self;
        let model = models.decoder().config();
        let context = sample_context(config, &self.problem)?;
        let calibration = Calibration::new(config, model, self.documents, context)?;
        let inputs = Inputs::new(config, &calibration, &self.rope)?;
        let (run, search) = if self.resume {
            let run = RunDir::resume(self.out)?;
            let search = resume(&run, config.seed, &self.evolution, &self.problem)?;
            inputs.check(&run)?;
            (run, search)
        } else {
            let search = Search::with_init(self.problem, self.evolution, self.init, config.seed)?;
            let run = RunDir::create(self.out)?;
            run.write("config.toml", &config.to_toml()?)?;
            inputs.save(&run)?;
            (run, search)
        };
        let setting = SearchSetting {
            run: &run,
            models,
            calibration: &calibration,
            rope: &self.rope,
            profile: config.search.run.profile.name(),
            objective: config.search.run.objective,
            model_fingerprint: inputs.model_fingerprint,
            text_fingerprint: inputs.text_fingerprint,
            tui: self.tui,
        };
        run_search(&setting, search, interrupt)
    }
}

/// Tokens of a sample: those of the target, or fewer, as a cheap proxy.
fn sample_context(config: &Config, problem: &SearchProblem) -> Result<usize> {
    let target = problem.target_context;
    match config.search.run.sample_context {
        Some(context) if context <= problem.original_context && context < target => Err(anyhow!(
            "`search.sample-context` is {context}, expected more than the original context, {}",
            problem.original_context
        )
        .context(Hint(
            "within it factors for longer contexts can only do harm; leave the key out for samples of the target's length"
                .to_owned(),
        ))),
        Some(context) => Ok(context.min(target)),
        None => Ok(target),
    }
}

/// Continues a search, unless the configuration now asks for a different one.
fn resume(
    run: &RunDir,
    seed: u64,
    evolution: &SearchConfig,
    problem: &SearchProblem,
) -> Result<Search> {
    let path = run.search_state();
    let text = fs_err::read_to_string(&path)?;
    let state = SearchState::from_json(&text)
        .with_context(|| format!("reading search state `{}`", path.display()))?;
    let mut other = differences("", state.problem(), problem)?;
    other.extend(differences("search.", state.config(), evolution)?);
    other.extend(differences(
        "",
        &BTreeMap::from([("seed", state.seed())]),
        &BTreeMap::from([("seed", seed)]),
    )?);
    if !other.is_empty() {
        return Err(anyhow!(
            "the search in `{}` has other settings: {}",
            path.display(),
            other.join(", ")
        )
        .context(Hint(
            "resume with the flags it was started with, or with none: they are in its config.toml"
                .into(),
        )));
    }
    Ok(Search::resume(state)?)
}

/// Keys whose values differ, each with the saved value and the one asked for now.
fn differences(section: &str, saved: &impl Serialize, now: &impl Serialize) -> Result<Vec<String>> {
    let (saved, now) = (serde_json::to_value(saved)?, serde_json::to_value(now)?);
    let keys: BTreeSet<&String> = [&saved, &now]
        .into_iter()
        .filter_map(Value::as_object)
        .flat_map(serde_json::Map::keys)
        .collect();
    let of = |value: &Value, key: &str| {
        value
            .get(key)
            .map_or_else(|| "absent".to_owned(), ToString::to_string)
    };
    let differing = keys.into_iter().filter_map(|key| {
        let (saved, now) = (of(&saved, key), of(&now, key));
        (saved != now).then(|| format!("`{section}{key}` is {saved} there and {now} here"))
    });
    Ok(differing.collect())
}

/// `search/inputs.json`: what candidates are scored with. Scores of other inputs are of no use to
/// a search that goes on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inputs {
    format: String,
    version: u32,
    model_fingerprint: String,
    text_fingerprint: String,
    /// What is minimized, with its weight.
    objective: String,
    /// What the candidates' factors are multiplied by, if they are ratios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ground: Option<Vec<f64>>,
}

const INPUTS_FILE: &str = "search/inputs.json";

impl Inputs {
    fn new(config: &Config, calibration: &Calibration, rope: &TargetRope) -> Result<Self> {
        let search = &config.search.run;
        let objective = match search.objective {
            ObjectiveSetting::Combined => format!("combined, needles {}", search.needle_weight),
            other => other.description().to_owned(),
        };
        Ok(Self {
            format: "longrope-search-inputs".to_owned(),
            version: 2,
            model_fingerprint: Checkpoint::open(input::model_folder(config)?)?.fingerprint()?,
            text_fingerprint: calibration.fingerprint(),
            objective,
            ground: rope.ground().map(<[f64]>::to_vec),
        })
    }

    fn save(&self, run: &RunDir) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        run.write(INPUTS_FILE, &text)
    }

    /// Compares with the inputs the search was started with.
    fn check(&self, run: &RunDir) -> Result<()> {
        let path = run.path(INPUTS_FILE);
        if !path.is_file() {
            return Err(anyhow!("`{}` is missing", path.display()).context(Hint(
                "only a search of `longrope search` can be resumed; start again in another --out"
                    .to_owned(),
            )));
        }
        let saved: Self = serde_json::from_str(&fs_err::read_to_string(&path)?)
            .with_context(|| format!("reading `{}`", path.display()))?;
        let changed = if saved.model_fingerprint != self.model_fingerprint {
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
        Err(anyhow!("the search was started with another {changed}").context(Hint(format!(
            "resume with the {changed} its config.toml names, unchanged, or start again in another --out"
        ))))
    }
}

/// Tells how to go on, if that is why a run ended.
pub(crate) fn explain_interruption(error: anyhow::Error, verb: &str, out: &Path) -> anyhow::Error {
    let is_saved = error.is::<Interrupted>() || failure::is_device_failure(&error);
    if is_saved {
        let resume = format!(
            "everything is saved; continue with: longrope {verb} --resume --out {}",
            out.display()
        );
        return error.context(Hint(resume));
    }
    error
}
