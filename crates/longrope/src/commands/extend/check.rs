//! What is wrong with a recipe is found before any of its stages runs.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use longrope_eval::{Error, RulerTask};
use longrope_extend::ObjectiveKind;
use longrope_extend::recipe::{Place, PlannedStage, Verb, is_inside};
use longrope_model::ModelConfig;

use crate::commands::eval::bench;
use crate::commands::eval::effective_rule::effective_rule;
use crate::commands::eval::perplexities::check_layout;
use crate::commands::eval::reference::reference;
use crate::commands::{compare, finetune, generate, recover, search};
use crate::failure::{Hint, InStage};
use crate::input::rope_arg::{RopeArg, check_expressible, missing_context};
use crate::input::ropes_and_contexts::{longest_context, rope_names};
use crate::input::{self, hub};
use crate::settings::config::{Config, SearchStage};
use crate::settings::path_text::{from_text, to_text};
use crate::settings::recipe::StageConfig;
use crate::settings::required;

/// A stage and its configuration.
pub(super) type Planned = PlannedStage<StageConfig>;

/// The context of errors about a stage.
pub(super) fn in_stage(stage: &Planned) -> InStage {
    InStage {
        name: stage.name.clone(),
        folder: stage.folder.clone(),
    }
}

/// Finds what a stage lacks, before any stage runs: its inputs, and settings that cannot be.
///
/// The stages and their places are those of the whole recipe.
pub(super) fn check(planned: &[Planned], places: &[Place], index: usize) -> Result<()> {
    let (stage, place) = (&planned[index], &places[index]);
    let config = &stage.work.config;
    check_settings(stage)?;
    if stage.verb == Verb::Report {
        return Ok(());
    }
    if matches!(
        stage.verb,
        Verb::Ppl | Verb::Passkey | Verb::Needle | Verb::Ruler | Verb::Compare | Verb::Recover
    ) {
        check_contexts(config)?;
    }
    if matches!(
        stage.verb,
        Verb::Search | Verb::Recover | Verb::Ppl | Verb::Compare
    ) {
        input::check_text_is_given(config)?;
    }
    check_files(stage, place)?;
    // The model of an earlier stage is not there yet; one of the hub is fetched when it is needed.
    let folder = input::model_folder(config)?;
    if place.model.is_none() && !hub::is_on_hub(folder) {
        let model = input::model_config(config)?;
        check_with_model(planned, places, index, &model)?;
    }
    if matches!(stage.verb, Verb::Needle | Verb::Ruler) && config.tokens.is_some() {
        tracing::warn!(
            "`tokens` is not read by stage `{}`, which reads text only",
            stage.name
        );
    }
    Ok(())
}

/// Finds settings that cannot be, and missing ones.
fn check_settings(stage: &Planned) -> Result<()> {
    let config = &stage.work.config;
    if matches!(stage.verb, Verb::Search | Verb::Recover) {
        config.search.evolution.validate()?;
        // The texts of needles are made after the model is loaded. Without an objective, they may not be needed.
        let objective = config.search.run.objective.given();
        if objective.is_some_and(|objective| objective != ObjectiveKind::Perplexity) {
            config.search_needle.validate()?;
        }
    }
    match stage.verb {
        Verb::Search => {
            let run = &config.search.run;
            let target = *required(run.target.as_ref(), "search.target")?;
            let has_init = run.stage == SearchStage::Factors && run.init.is_some();
            let evolution = &config.search.evolution;
            evolution.check_starts(usize::from(has_init), target)?;
        }
        Verb::Recover => {
            recover::check_samples(config)?;
            required(config.rope.first(), "rope")?;
        }
        Verb::Finetune => {
            let trainer = config.train.trainer().validate();
            trainer.map_err(|error| error.within("train"))?;
        }
        Verb::Passkey | Verb::Needle | Verb::Ruler => {
            effective_rule(config)?;
        }
        Verb::Bench => bench::check(config)?,
        Verb::Generate => generate::check(config)?,
        Verb::Export if config.rope.is_empty() => return Err(no_rope()),
        _ => {}
    }
    // Earlier versions accepted more. A stage that is done is not run again.
    if stage.folder.join("done.json").is_file() {
        return Ok(());
    }
    check_measurement(stage.verb, config)
}

/// Finds settings of a measurement that its verb refuses.
fn check_measurement(verb: Verb, config: &Config) -> Result<()> {
    match verb {
        Verb::Ppl | Verb::Compare => check_layout(config)?,
        Verb::Passkey => config.passkey.validate()?,
        Verb::Needle => config.needle.validate()?,
        Verb::Ruler => check_ruler(config)?,
        _ => {}
    }
    Ok(())
}

/// Finds tasks of RULER that are unknown, have no samples, or lack what they are made from.
fn check_ruler(config: &Config) -> Result<()> {
    let ruler = &config.ruler;
    // Without names, all tasks whose data is there are run. This one needs none.
    RulerTask::NiahSingle1.check_samples(ruler.samples)?;
    for name in &ruler.tasks {
        let task: RulerTask = name.parse()?;
        let is_there = match task {
            RulerTask::Qa1 => ruler.squad.is_some(),
            RulerTask::Qa2 => ruler.hotpotqa.is_some(),
            _ => !config.text.is_empty(),
        };
        if let Some(what) = task.needs()
            && !is_there
        {
            let task = format!("ruler/{task}");
            return Err(Error::MissingData { task, what }.into());
        }
    }
    Ok(())
}

/// Finds files and RoPEs that do not exist, except those that earlier stages make.
fn check_files(stage: &Planned, place: &Place) -> Result<()> {
    let config = &stage.work.config;
    input::check_text_is_there(config)?;
    match stage.verb {
        Verb::Ruler => {
            let ruler = &config.ruler;
            input::check_files(ruler.squad.iter().chain(&ruler.hotpotqa))?;
        }
        Verb::Generate => input::check_files(&config.generate.prompt_files)?,
        _ => {}
    }
    let init = config.search.run.init.as_deref().map(to_text);
    let names = match stage.verb {
        Verb::Search => init.as_slice(),
        _ => &config.rope,
    };
    let mut given = names.iter().filter(|name| !is_of_run(name, place));
    given.try_for_each(|name| RopeArg::check_name(name))
}

/// Whether a RoPE is in the folder of the run. What stages find is not there yet.
fn is_of_run(name: &str, place: &Place) -> bool {
    let run = place.folder.parent().unwrap_or(Path::new(""));
    !run.as_os_str().is_empty() && is_inside(&from_text(PathBuf::from(name)), run)
}

/// Finds settings that the model or the RoPE of a stage does not allow.
fn check_with_model(
    planned: &[Planned],
    places: &[Place],
    index: usize,
    model: &ModelConfig,
) -> Result<()> {
    let (stage, place) = (&planned[index], &places[index]);
    let config = &stage.work.config;
    let is_there = !takes_rope(stage, place);
    match stage.verb {
        Verb::Ppl | Verb::Passkey | Verb::Needle | Verb::Ruler => {
            return check_ropes(config, model, &rope_names(config), place);
        }
        Verb::Bench => return check_bench(config, model, place),
        Verb::Compare => {
            return check_ropes(config, model, &compare::names(config, model), place);
        }
        Verb::Generate => {
            read_ropes(&config.rope, model, model.max_context, place)?;
            return Ok(());
        }
        Verb::Recover => return check_recovery(config, model, place),
        Verb::Search => return check_search(config, model, place),
        Verb::Finetune => finetune::check(config, model, is_there)?,
        Verb::Export => {
            if let Some(name) = config.rope.first().filter(|_| is_there) {
                check_exported(name, model)?;
            }
        }
        _ => return Ok(()),
    }
    let Some(search) = search_before(planned, places, index) else {
        return Ok(());
    };
    let target = search.work.config.search.run.target;
    let train = &config.train;
    let context = train.context.unwrap_or(model.rope.original_context);
    match target {
        Some(target) if stage.verb == Verb::Finetune && train.reach(context) > target => {
            Err(anyhow!(
                "the training needs a RoPE for {} tokens, but stage `{}` searches one for {target}",
                train.reach(context),
                search.name
            )
            .context(Hint(format!(
                "give that stage search.target = {}, or train on texts of at most {target} tokens",
                train.reach(context)
            ))))
        }
        _ => Ok(()),
    }
}

/// Whether a stage takes the factors of an earlier one: with a `rope` of its own, it does not.
fn takes_rope(stage: &Planned, place: &Place) -> bool {
    let of_stage = place.rope.as_deref().map(to_text);
    of_stage.is_some_and(|rope| stage.work.config.rope.contains(&rope))
}

/// The search whose factors a stage takes, directly or from a recovery, which keeps their target; `None` if they are from
/// elsewhere.
fn search_before<'p>(
    planned: &'p [Planned],
    places: &[Place],
    mut index: usize,
) -> Option<&'p Planned> {
    while takes_rope(&planned[index], &places[index]) {
        index = places[index].rope_stage?;
        if planned[index].verb == Verb::Search {
            return Some(&planned[index]);
        }
    }
    None
}

/// Refuses a RoPE that cannot be exported. One that is scaled for a context is scaled for that of the model: an export stage
/// names no other.
pub(super) fn check_exported(name: &str, model: &ModelConfig) -> Result<()> {
    let (original, context) = (model.rope.original_context, model.max_context);
    let longer = original.saturating_mul(4);
    let rope = RopeArg::read(name, model, context)?;
    check_expressible(name, &rope.spec(longer.max(context))?, "exported")?;
    if !rope.needs_context() || context > original {
        return Ok(());
    }
    let hint = match rope {
        RopeArg::Method(..) => {
            format!("name the context to extend to, for example rope = [\"{name}@{longer}\"]")
        }
        _ => "give the rope.json of a search: a plain list of factors does not say its context"
            .to_owned(),
    };
    Err(anyhow!(
        "RoPE `{name}` changes nothing at {context} tokens, within the original context of {original}"
    )
    .context(Hint(hint)))
}

/// Fails if a stage that measures has no contexts.
fn check_contexts(config: &Config) -> Result<()> {
    if config.contexts.is_empty() {
        return Err(anyhow!("`contexts` is missing").context(Hint(
            "for example contexts = [256, 512, 1024] in the stage".to_owned(),
        )));
    }
    Ok(())
}

/// The error of an export stage without a RoPE.
pub(super) fn no_rope() -> anyhow::Error {
    anyhow!("the export stage has no `rope`").context(Hint(
        "put a search before it, or set rope = [\"..\"] in the stage".to_owned(),
    ))
}

/// Reads RoPEs, except those in the folder of the run.
fn read_ropes(
    names: &[String],
    model: &ModelConfig,
    target: usize,
    place: &Place,
) -> Result<Vec<(String, RopeArg)>> {
    let given = names.iter().filter(|name| !is_of_run(name, place));
    given
        .map(|name| Ok((name.clone(), RopeArg::read(name, model, target)?)))
        .collect()
}

/// Reads the RoPEs of a measurement, and looks for the reference among them.
fn check_ropes(
    config: &Config,
    model: &ModelConfig,
    names: &[String],
    place: &Place,
) -> Result<()> {
    read_ropes(names, model, longest_context(config)?, place)?;
    reference(config, names.iter().map(String::as_str))?;
    Ok(())
}

/// As [`check_ropes`], for a benchmark, which has the context of the model if it is given none.
fn check_bench(config: &Config, model: &ModelConfig, place: &Place) -> Result<()> {
    let names = rope_names(config);
    if !config.contexts.is_empty() {
        return check_ropes(config, model, &names, place);
    }
    for (name, rope) in read_ropes(&names, model, model.max_context, place)? {
        if rope.needs_context() {
            return Err(missing_context(&name, "contexts", model.max_context));
        }
    }
    reference(config, names.iter().map(String::as_str))?;
    Ok(())
}

/// Reads the RoPE whose contexts are recovered.
fn check_recovery(config: &Config, model: &ModelConfig, place: &Place) -> Result<()> {
    let first = config.rope.get(..1).unwrap_or_default();
    for (name, rope) in read_ropes(first, model, longest_context(config)?, place)? {
        recover::factor_sets(config, &name, &rope)?;
    }
    Ok(())
}

fn check_search(config: &Config, model: &ModelConfig, place: &Place) -> Result<()> {
    let search = &config.search.run;
    let Some(target) = search.target else {
        return Ok(());
    };
    // Factors that an earlier stage finds are not there yet.
    let init = search.init.as_deref().map(to_text);
    if init.is_none_or(|init| !is_of_run(&init, place)) {
        search::check_start(config, model, target)?;
    }
    search
        .adapt
        .validate(model, target, search.sample_context)?;
    search::check_target(config, model, target)?;
    search::warn_of_unread_keys(config);
    Ok(())
}
