//! `longrope search`

use anyhow::{Context, Result, anyhow, bail};
use longrope_model::Decoder;
use longrope_rope::{FactorSet, RopeScaling, RopeSpec};
use longrope_search::{Candidate, SearchProblem, TargetRope};

use crate::hint::Hint;
use crate::input;
use crate::input::rope_arg::RopeArg;
use crate::models::Models;
use crate::run_dir::RunDir;
use crate::search_run::{SearchResult, result_table};
use crate::search_task::{SearchTask, explain_interruption};
use crate::settings;
use crate::settings::args;
use crate::settings::args::FlagLayer;
use crate::settings::config::{Config, Stage};
use crate::settings::layers;
use crate::show::output;
use crate::signals::Interrupt;

pub(crate) fn run(args: &args::Search) -> Result<()> {
    let config = configuration(args)?;
    let out = settings::required(config.out.as_ref(), "--out")?;
    let target = *settings::required(config.search.run.target.as_ref(), "--target")?;
    let interrupt = Interrupt::listen()?;
    let models = Models::load(&config)?;
    let decoder = models.decoder();
    let start = start(&config, decoder, target)?;
    start.problem.validate()?;
    let documents = input::load_documents(&config, decoder.config())?;
    let task = SearchTask {
        config: &config,
        evolution: config.search.evolution.clone(),
        models: &models,
        documents: &documents,
        problem: start.problem,
        rope: start.rope,
        init: start.init,
        out,
        resume: args.resume,
        tui: args.tui,
    };
    let result = task
        .run(&interrupt)
        .map_err(|error| explain_interruption(error, "search", out))?;
    if args.json {
        return output::json(&result);
    }
    output::line(result_table(&result))?;
    output::line(cost(&result))?;
    output::line(format!(
        "factors in {}, plots beside it",
        out.join("rope.json").display()
    ))
}

/// What the search cost and found, in a line.
pub(crate) fn cost(result: &SearchResult) -> String {
    let saved = match result.token_evaluations_saved {
        0 => String::new(),
        saved => format!("{} saved by racing, ", output::grouped(saved)),
    };
    format!(
        "{} evaluations ({} tokens), {saved}{}; start tokens {}, attention scale {:.4}",
        output::grouped(result.evaluations),
        output::grouped(result.token_evaluations),
        output::duration(result.elapsed_secs),
        result.start_tokens,
        result.attention_scale
    )
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
        .set("search.stage", args.stage.clone())
        .set("search.objective", args.objective.clone())
        .table();
    if args.resume {
        RunDir::resume(settings::required(args.out.as_ref(), "--out")?)?;
    }
    layers::load_resumable(&args.common, flags, args.out.as_ref(), args.resume)
}

/// What a search starts from.
struct Start {
    problem: SearchProblem,
    rope: TargetRope,
    init: Vec<Candidate>,
}

fn start(config: &Config, decoder: &Decoder, target: usize) -> Result<Start> {
    let rope = TargetRope::factors(&decoder.config().rope, target);
    let problem = rope.problem();
    let known = match &config.search.run.init {
        Some(path) => Some(known_factors(&path.display().to_string(), decoder, target)?),
        None => None,
    };
    match (config.search.run.stage, known) {
        (Stage::Factors, None) => Ok(Start {
            problem,
            rope,
            init: Vec::new(),
        }),
        (Stage::Factors, Some((spec, set))) => {
            let RopeScaling::LongRope { attention, .. } = spec.scaling else {
                bail!("factors without a policy");
            };
            let space = config.search.evolution.space(&problem)?;
            let attention = set.attention.unwrap_or(attention);
            let candidate = space.nearest(set.factors.as_slice(), set.start_tokens, attention)?;
            Ok(Start {
                problem,
                rope,
                init: vec![candidate],
            })
        }
        (Stage::Ratios, None) => Err(anyhow!("`search.stage` is ratios, but there is no --init")
            .context(Hint(
                "name the factors to search on top of, as in --init runs/first/rope.json"
                    .to_owned(),
            ))),
        (Stage::Ratios, Some((spec, set))) => {
            let ground = spec.max_context();
            if ground > target {
                return Err(anyhow!(
                    "the factors of --init are for {ground} tokens already, --target is {target}"
                )
                .context(Hint(
                    "ratios extend a context further; `longrope recover` is for shorter ones"
                        .to_owned(),
                )));
            }
            let rope = TargetRope::ratios(&spec, &set, target);
            Ok(Start {
                problem: rope.problem(),
                rope,
                init: Vec::new(),
            })
        }
    }
}

/// A RoPE with factor sets, and the one for the longest context.
fn known_factors(name: &str, decoder: &Decoder, target: usize) -> Result<(RopeSpec, FactorSet)> {
    let spec = RopeArg::parse(name, decoder.config(), target)
        .and_then(|rope| rope.spec(target))
        .context("reading --init")?;
    match spec.factor_set(target).cloned() {
        Some(set) => Ok((spec, set)),
        None => bail!("`{name}` holds no rescale factors to start from"),
    }
}
