//! `longrope search`

use anyhow::{Context, Result, anyhow};
use longrope_extend::recipe::Verb;
use longrope_extend::{ObjectiveKind, RunKind, RunMode, SearchResult, SearchTask, Watch};
use longrope_model::ModelConfig;
use longrope_rope::{FactorSet, RopeScaling, RopeSpec};
use longrope_search::{AttentionSearch, Candidate, SearchProblem, TargetRope};
use longrope_trainer::run::TrainConfig;

use super::named_inputs::with_inputs;
use super::searching::{inputs, shown};
use crate::failure::{Hint, explain_interruption};
use crate::input::extendable;
use crate::input::memory::Work;
use crate::input::rope_arg::RopeArg;
use crate::settings::args::{self, FlagLayer};
use crate::settings::config::{Config, SearchStage};
use crate::settings::path_text::to_text;
use crate::settings::required;
use crate::show::{output, search_table};
use crate::terminal::signals;
use crate::{input, next_steps};

pub(crate) fn run(args: &args::Search) -> Result<()> {
    let config = configuration(args)?;
    let mode = RunMode::from_flag(args.resume);
    let result = search(&config, mode, args.dashboard.is_on(args.json))?;
    if args.json {
        return output::json(&result);
    }
    show(&config, &result)?;
    let other = result
        .verdict
        .as_ref()
        .filter(|verdict| verdict.recommended != verdict.searched.method)
        .map(|verdict| verdict.recommended.as_str());
    next_steps::after_search(&config, result.target_context, other).show();
    Ok(())
}

/// Searches with the given configuration.
pub(crate) fn search(config: &Config, mode: RunMode, dashboard: bool) -> Result<SearchResult> {
    let out = required(config.out.as_ref(), "--out")?;
    let target = *required(config.search.run.target.as_ref(), "--target")?;
    let interrupt = signals::listen()?;
    // Without a model, that is what is wrong.
    input::model_folder(config)?;
    input::check_text(config)?;
    check_needle_weight(config)?;
    let model = input::model_config(config)?;
    let start = start(config, &model, target)?;
    check_length(config, &model, target)?;
    start.rope.problem().validate()?;
    let search = &config.search.run;
    search
        .adapt
        .validate(&model, target, search.sample_context)?;
    check_target(config, &model, target)?;
    check_sample_context(config, &model, target)?;
    // A resumed search has warned when it began, and may still be refused.
    if mode == RunMode::New {
        warn_of_unread_keys(config);
    }
    let original = model.rope.original_context;
    let training = search.adapt.training(target);
    let models = input::load_models(config, work(config, target, original, &training))?;
    let decoder = models.decoder();
    let documents = input::load_documents(config, decoder.config())?;
    let tokenizer = input::needle_tokenizer(config, decoder.config())?;
    let inputs = inputs(config, &models, &documents, tokenizer.as_ref())?;
    let search = |methods_first, watch: Watch<'_>| {
        let task = SearchTask {
            inputs,
            problem: start.rope.problem(),
            target: start.rope,
            init: start.init,
            out,
            mode,
            methods_first,
            chooses_objective: config.search.run.objective.given().is_none(),
            adapt: config.search.run.adapt.clone(),
        };
        task.run(&interrupt, watch)
            .map_err(|error| with_inputs(error, out, config, Verb::Search))
    };
    let outcome = shown(config, dashboard, &interrupt, search)
        .map_err(|error| explain_interruption(error, RunKind::Search, out, mode))?;
    Ok(outcome.result)
}

/// Prints the result as a table.
pub(crate) fn show(config: &Config, result: &SearchResult) -> Result<()> {
    let out = required(config.out.as_ref(), "--out")?;
    output::line(search_table::result_table(result))?;
    if let Some(line) = search_table::gain_line(result) {
        output::line(line)?;
    }
    if let Some(adapted) = &result.adapted {
        output::line(adapted.to_string())?;
    }
    output::line(search_table::cost(result))?;
    output::line(format!(
        "factors in {}, plots in the same folder",
        output::path(&out.join("rope.json"))
    ))?;
    match search_table::verdict(result) {
        Some(verdict) => output::line(format!("\n{verdict}")),
        None => Ok(()),
    }
}

/// Reads the configuration; for a resumed search, from its run folder.
fn configuration(args: &args::Search) -> Result<Config> {
    let flags = FlagLayer::default()
        .model(&args.model)
        .text(&args.text)
        .path("out", args.out.as_ref())
        .number("seed", args.seed)
        .count("search.target", args.target)
        .set("search.profile", args.profile.clone())
        .count("search.samples", args.samples)
        .path("search.init", args.init.as_ref())
        .set("search.stage", args.stage.clone())
        .set("search.objective", args.objective.clone())
        .table();
    input::configuration_of_run(
        &args.common,
        flags,
        args.out.as_ref(),
        args.resume,
        RunKind::Search,
    )
}

/// Refuses a target at which there is nothing to extend, and warns of a model that sees no farther than now.
pub(super) fn check_target(config: &Config, model: &ModelConfig, target: usize) -> Result<()> {
    extendable::check_model(model)?;
    if let Some(widest) = model.widest_window()
        && widest <= model.rope.original_context
    {
        tracing::warn!(
            "every layer has a sliding window, of at most {widest} tokens: no token sees farther than that, so a longer \
             context has little to gain from other factors"
        );
    }
    check_length(config, model, target)
}

/// Refuses a target that is no longer than the original context, where factors are searched.
fn check_length(config: &Config, model: &ModelConfig, target: usize) -> Result<()> {
    match config.search.run.stage {
        SearchStage::Ratios => Ok(()),
        SearchStage::Factors => extendable::check_target(model, target),
    }
}

/// Refuses samples of a search for factors in which rescaling can only do harm.
pub(super) fn check_sample_context(
    config: &Config,
    model: &ModelConfig,
    target: usize,
) -> Result<()> {
    let run = &config.search.run;
    let original = model.rope.original_context;
    match run.sample_context {
        Some(found) if run.stage == SearchStage::Factors && found <= original && found < target => {
            Err(longrope_extend::Error::SampleContext { found, original }.into())
        }
        _ => Ok(()),
    }
}

/// Refuses a weight of needles that is no share, if it counts.
pub(super) fn check_needle_weight(config: &Config) -> Result<()> {
    let run = &config.search.run;
    let found = run.needle_weight;
    if run.objective.given() == Some(ObjectiveKind::Combined) && !(0.0..=1.0).contains(&found) {
        return Err(longrope_extend::Error::NeedleWeight { found }.into());
    }
    Ok(())
}

/// Warns of keys that the operators of the search do not read.
pub(super) fn warn_of_unread_keys(config: &Config) {
    let search = &config.search.run;
    let has_init = search.init.is_some() && search.stage == SearchStage::Factors;
    for line in config.search.unread(has_init) {
        tracing::warn!("{line}");
    }
}

/// The longest sequences of a search: its samples, and the passkeys of its result. If the model is adapted to candidates, the
/// windows that it is trained on.
fn work<'a>(
    config: &Config,
    target: usize,
    original: usize,
    training: &'a TrainConfig,
) -> Work<'a> {
    let search = &config.search.run;
    if search.adapt.is_on() {
        return Work::Adapt {
            window: search.adapt.window(original),
            config: training,
            candidates: config.search.evolution.population,
        };
    }
    let samples = search.sample_context.unwrap_or(target);
    let has_passkeys = search.passkey_trials > 0 && config.tokens.is_none();
    Work::Measure {
        context: if has_passkeys {
            samples.max(target)
        } else {
            samples
        },
    }
}

/// What a search starts from.
struct Start {
    rope: TargetRope,
    init: Vec<Candidate>,
}

/// Finds what is wrong with the start of a search.
pub(super) fn check_start(config: &Config, model: &ModelConfig, target: usize) -> Result<()> {
    start(config, model, target).map(drop)
}

/// What a search looks for.
pub(super) fn problem(
    config: &Config,
    model: &ModelConfig,
    target: usize,
) -> Result<SearchProblem> {
    Ok(start(config, model, target)?.rope.problem())
}

fn start(config: &Config, model: &ModelConfig, target: usize) -> Result<Start> {
    let rope = TargetRope::factors(&model.rope, target);
    let known = match &config.search.run.init {
        Some(path) => Some(known_factors(&to_text(path), model, target)?),
        None => None,
    };
    match (config.search.run.stage, known) {
        (SearchStage::Factors, None) => Ok(Start {
            rope,
            init: Vec::new(),
        }),
        (SearchStage::Factors, Some((spec, set))) => {
            let candidate = start_from(config, &rope, &spec, &set)?;
            Ok(Start {
                rope,
                init: vec![candidate],
            })
        }
        (SearchStage::Ratios, None) => Err(anyhow!(
            "`search.stage` is `ratios`, but `--init` is missing"
        )
        .context(Hint(
            "give the factors to search on top of, for example --init runs/first/rope.json"
                .to_owned(),
        ))),
        (SearchStage::Ratios, Some((spec, set))) => {
            let ground = spec.max_context();
            if ground > target {
                return Err(anyhow!(
                    "`--target` is {target}, expected at least {ground}, the context of the factors of --init"
                )
                .context(Hint(
                    "ratios extend factors to a longer context; for shorter contexts, use `longrope recover`"
                        .to_owned(),
                )));
            }
            Ok(Start {
                rope: TargetRope::ratios(&spec, &set, target),
                init: Vec::new(),
            })
        }
    }
}

/// The candidate of known factors. The attention scale is what the RoPE has at the target. Beyond its contexts, it is what its
/// policy gives there. Settings that fix the policy change it.
fn start_from(
    config: &Config,
    rope: &TargetRope,
    known: &RopeSpec,
    set: &FactorSet,
) -> Result<Candidate> {
    let evolution = &config.search.evolution;
    let space = evolution.space(&rope.problem())?;
    if known.max_context() >= rope.target()
        && let Some(candidate) = rope.candidate_of(known, evolution, &space)?
    {
        return Ok(candidate);
    }
    let RopeScaling::LongRope { attention, .. } = known.scaling else {
        return Err(
            anyhow!("the factors have no attention policy").context(Hint(
                "give the rope.json of a search with --init".to_owned(),
            )),
        );
    };
    let attention = match evolution.attention {
        AttentionSearch::Fixed { policy } => policy,
        _ => set.attention.unwrap_or(attention),
    };
    Ok(space.nearest(set.factors.as_slice(), set.start_tokens, attention)?)
}

/// A RoPE with factor sets, and the set for the longest context.
fn known_factors(name: &str, model: &ModelConfig, target: usize) -> Result<(RopeSpec, FactorSet)> {
    let spec = RopeArg::parse(name, model, target)
        .and_then(|rope| rope.spec(target))
        .context("reading --init")?;
    match spec.factor_set(target).cloned() {
        Some(set) => Ok((spec, set)),
        None => Err(
            anyhow!("`{name}` has no rescale factors to start from").context(Hint(
                "give the rope.json of a search, a factor CSV or a published name with --init"
                    .to_owned(),
            )),
        ),
    }
}
