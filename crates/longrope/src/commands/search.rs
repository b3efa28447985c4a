//! `longrope search`

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use longrope_data::{Sample, select_samples, text_fingerprint};
use longrope_model::{Checkpoint, Decoder};
use longrope_rope::{AttentionScale, RopeScaling};
use longrope_search::{Candidate, Search, SearchProblem, SearchState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::args::{self, FlagLayer};
use crate::config::Config;
use crate::failure::{self, Hint};
use crate::interrupt::{Interrupt, Interrupted};
use crate::models::Models;
use crate::rope_arg::RopeArg;
use crate::run_dir::RunDir;
use crate::search_run::{SearchSetting, problem, result_table, run_search};
use crate::{input, layers, output};

pub(crate) fn run(args: &args::Search) -> Result<()> {
    let config = configuration(args)?;
    let out = input::required(config.out.as_ref(), "--out")?;
    let target = *input::required(config.search.run.target.as_ref(), "--target")?;
    let interrupt = Interrupt::listen()?;
    let models = Models::load(&config)?;
    let decoder = models.decoder();
    let problem = problem(decoder, target);
    problem.validate()?;
    let samples = samples(&config, decoder, target)?;

    let init = initial_candidates(&config, decoder, &problem)?;
    let inputs = Inputs::new(input::model_folder(&config)?, &samples)?;
    let (run, search) = if args.resume {
        let run = RunDir::resume(out)?;
        let search = resume(&run, &config, &problem)?;
        inputs.check(&run)?;
        (run, search)
    } else {
        let search =
            Search::with_init(problem, config.search.evolution.clone(), init, config.seed)?;
        let run = RunDir::create(out)?;
        run.write("config.toml", &config.to_toml()?)?;
        inputs.save(&run)?;
        (run, search)
    };
    let mut setting = setting(&run, &config, &models, &samples, inputs);
    setting.tui = args.tui;
    let outcome = run_search(&setting, search, &interrupt);
    let result = outcome.map_err(|error| explain_interruption(error, out))?;
    if args.json {
        return output::json(&result);
    }
    output::line(result_table(&result))?;
    output::line(format!(
        "{} evaluations of {} samples ({} tokens), {}; {}",
        output::grouped(result.evaluations),
        samples.len(),
        output::grouped(result.token_evaluations),
        output::duration(result.elapsed_secs),
        winner(&result)
    ))?;
    output::line(format!(
        "factors in {}, plots beside it",
        run.path("rope.json").display()
    ))
}

/// The configuration; that of the run folder when it is resumed.
fn configuration(args: &args::Search) -> Result<Config> {
    let flags = FlagLayer::default()
        .path("model", args.model.as_ref())
        .text(&args.text)
        .path("out", args.out.as_ref())
        .number("seed", args.seed)
        .number("search.target", args.target)
        .set("search.profile", args.profile.clone())
        .number("search.samples", args.samples)
        .path("search.init", args.init.as_ref())
        .table();
    if !args.resume {
        return layers::load(&args.common, flags);
    }
    let out = input::required(args.out.as_ref(), "--out")?;
    RunDir::resume(out)?;
    let saved = out.join("config.toml");
    if args.common.config.is_some() || !saved.is_file() {
        return layers::load(&args.common, flags);
    }
    let common = args::Common {
        config: Some(saved),
        set: args.common.set.clone(),
        device: args.common.device.clone(),
    };
    layers::load(&common, flags)
}

fn samples(config: &Config, decoder: &Decoder, target: usize) -> Result<Vec<Sample>> {
    let documents = input::load_documents(config, decoder.config())?;
    select_samples(&documents, target, config.search.run.samples, config.seed)
        .with_context(|| format!("selecting samples of {target} tokens"))
}

/// Continues a search, unless the configuration now asks for a different one.
fn resume(run: &RunDir, config: &Config, problem: &SearchProblem) -> Result<Search> {
    let path = run.search_state();
    let text = fs_err::read_to_string(&path)?;
    let state = SearchState::from_json(&text)
        .with_context(|| format!("reading search state `{}`", path.display()))?;
    let mut other = differences("", state.problem(), problem)?;
    other.extend(differences(
        "search.",
        state.config(),
        &config.search.evolution,
    )?);
    other.extend(differences(
        "",
        &BTreeMap::from([("seed", state.seed())]),
        &BTreeMap::from([("seed", config.seed)]),
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

fn initial_candidates(
    config: &Config,
    decoder: &Decoder,
    problem: &SearchProblem,
) -> Result<Vec<Candidate>> {
    let Some(path) = &config.search.run.init else {
        return Ok(Vec::new());
    };
    let name = path.display().to_string();
    let spec = RopeArg::parse(&name, decoder.config(), problem.target_context)?
        .spec(problem.target_context)?;
    let RopeScaling::LongRope { attention, .. } = spec.scaling else {
        bail!("`{name}` holds no rescale factors to start from");
    };
    let Some(set) = spec.factor_set(problem.target_context) else {
        bail!("`{name}` holds no factor set");
    };
    let attention: AttentionScale = set.attention.unwrap_or(attention);
    let space = config.search.evolution.space(problem)?;
    let candidate = space.nearest(set.factors.as_slice(), set.start_tokens, attention)?;
    Ok(vec![candidate])
}

fn setting<'a>(
    run: &'a RunDir,
    config: &'a Config,
    models: &'a Models,
    samples: &'a [Sample],
    inputs: Inputs,
) -> SearchSetting<'a> {
    SearchSetting {
        run,
        models,
        samples,
        target: samples.first().map_or(0, |sample| sample.tokens.len()),
        profile: config.search.run.profile.name(),
        model_fingerprint: inputs.model_fingerprint,
        text_fingerprint: inputs.text_fingerprint,
        tui: false,
    }
}

/// `search/inputs.json`: what candidates are scored with. Scores of other inputs are of no use to
/// a search that goes on.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Inputs {
    format: String,
    version: u32,
    model_fingerprint: String,
    text_fingerprint: String,
}

const INPUTS_FILE: &str = "search/inputs.json";

impl Inputs {
    fn new(model: &Path, samples: &[Sample]) -> Result<Self> {
        Ok(Self {
            format: "longrope-search-inputs".to_owned(),
            version: 1,
            model_fingerprint: Checkpoint::open(model)?.fingerprint()?,
            text_fingerprint: fingerprint(samples),
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
        } else {
            return Ok(());
        };
        Err(anyhow!("the search was started with another {changed}").context(Hint(format!(
            "resume with the {changed} its config.toml names, unchanged, or start again in another --out"
        ))))
    }
}

/// Identifies the very tokens that candidates were scored on.
fn fingerprint(samples: &[Sample]) -> String {
    let documents: Vec<longrope_data::TokenDocument> = samples
        .iter()
        .map(|sample| longrope_data::TokenDocument {
            source: String::new(),
            tokens: sample.tokens.clone(),
        })
        .collect();
    text_fingerprint(&documents)
}

fn explain_interruption(error: anyhow::Error, out: &Path) -> anyhow::Error {
    let is_saved = error.is::<Interrupted>() || failure::is_device_failure(&error);
    if is_saved {
        let resume = format!(
            "everything is saved; continue with: longrope search --resume --out {}",
            out.display()
        );
        return error.context(Hint(resume));
    }
    error
}

/// Start tokens and attention scale of the winner.
fn winner(result: &crate::search_run::SearchResult) -> String {
    format!(
        "start tokens {}, attention scale {:.4}",
        result.start_tokens, result.attention_scale
    )
}
