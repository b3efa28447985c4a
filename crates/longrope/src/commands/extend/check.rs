//! What is wrong with a recipe is found before any of its stages runs.

use std::path::Path;

use anyhow::{Result, anyhow};
use longrope_eval::RulerTask;
use longrope_extend::recipe::{Place, PlannedStage, Verb};
use longrope_model::ModelConfig;

use crate::commands::eval::effective_rule::effective_rule;
use crate::commands::eval::reference::reference;
use crate::commands::{compare, finetune, generate, recover, search};
use crate::failure::Hint;
use crate::input::rope_arg::{RopeArg, check_expressible};
use crate::input::ropes_and_contexts::{longest_context, rope_names};
use crate::input::{self, hub};
use crate::settings::config::{Config, SearchStage};
use crate::settings::path_text::to_text;
use crate::settings::recipe::StageConfig;
use crate::settings::required;

/// A stage and its configuration.
pub(super) type Planned = PlannedStage<StageConfig>;

/// Finds what a stage lacks, before any stage runs: its inputs, and settings that cannot be.
pub(super) fn check(planned: &[Planned], stage: &Planned, place: &Place) -> Result<()> {
    let config = &stage.work.config;
    if matches!(stage.verb, Verb::Search | Verb::Recover) {
        config.search.evolution.validate()?;
    }
    if stage.verb == Verb::Recover {
        recover::check_samples(config)?;
    }
    if stage.verb == Verb::Search {
        let run = &config.search.run;
        let target = *required(run.target.as_ref(), "search.target")?;
        let has_init = run.stage == SearchStage::Factors && run.init.is_some();
        let evolution = &config.search.evolution;
        evolution.check_starts(usize::from(has_init), target)?;
    }
    if matches!(stage.verb, Verb::Passkey | Verb::Needle | Verb::Ruler) {
        effective_rule(config)?;
    }
    if stage.verb == Verb::Ruler {
        for name in &config.ruler.tasks {
            name.parse::<RulerTask>()?;
        }
    }
    if stage.verb == Verb::Finetune {
        let trainer = config.train.trainer().validate();
        trainer.map_err(|error| error.within("train"))?;
    }
    if stage.verb == Verb::Report {
        return Ok(());
    }
    if stage.verb == Verb::Bench {
        required(config.bench.name.as_ref(), "bench.name")?;
    }
    if stage.verb == Verb::Export && config.rope.is_empty() {
        return Err(no_rope());
    }
    if stage.verb == Verb::Generate {
        generate::check(config)?;
    }
    if matches!(
        stage.verb,
        Verb::Ppl | Verb::Passkey | Verb::Needle | Verb::Ruler | Verb::Compare | Verb::Recover
    ) {
        longest_context(config)?;
    }
    if matches!(
        stage.verb,
        Verb::Search | Verb::Recover | Verb::Ppl | Verb::Compare
    ) {
        input::check_text_is_given(config)?;
    }
    input::check_text_is_there(config)?;
    // The model of an earlier stage is not there yet; one of the hub is fetched when it is needed.
    let folder = input::model_folder(config)?;
    if place.model.is_none() && !hub::is_on_hub(folder) {
        let model = input::model_config(config)?;
        check_with_model(planned, stage, place, &model)?;
    }
    Ok(())
}

/// Finds settings that the model or the RoPE of a stage does not allow.
fn check_with_model(
    planned: &[Planned],
    stage: &Planned,
    place: &Place,
    model: &ModelConfig,
) -> Result<()> {
    let config = &stage.work.config;
    // A stage with a `rope` of its own takes none from an earlier stage.
    let of_stage = place.rope.as_deref().map(to_text);
    let takes = of_stage.is_some_and(|rope| config.rope.contains(&rope));
    let is_there = !takes;
    // What stages find is not there yet.
    let run = place.folder.parent().unwrap_or(Path::new(""));
    match stage.verb {
        Verb::Ppl | Verb::Passkey | Verb::Needle | Verb::Ruler => {
            return check_ropes(config, model, &rope_names(config), run);
        }
        Verb::Compare => {
            return check_ropes(config, model, &compare::names(config, model), run);
        }
        Verb::Search => return check_search(config, model),
        Verb::Finetune | Verb::Export => {}
        _ => return Ok(()),
    }
    if stage.verb == Verb::Finetune {
        finetune::check(config, model, is_there)?;
    } else if let ([name], true) = (config.rope.as_slice(), is_there) {
        check_exported(name, model)?;
    }
    let search = place.rope_stage.filter(|_| takes);
    let Some(search) = search.and_then(|index| planned.get(index)) else {
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

/// The error of an export stage without a RoPE.
pub(super) fn no_rope() -> anyhow::Error {
    anyhow!("the export stage has no `rope`").context(Hint(
        "put a search before it, or set rope = [\"..\"] in the stage".to_owned(),
    ))
}

/// Reads the RoPEs of a measurement, except those in the folder of the run, and looks for the reference among them.
fn check_ropes(config: &Config, model: &ModelConfig, names: &[String], run: &Path) -> Result<()> {
    let target = longest_context(config)?;
    for name in names {
        let is_of_run = !run.as_os_str().is_empty() && Path::new(name).starts_with(run);
        if !is_of_run {
            RopeArg::read(name, model, target)?;
        }
    }
    reference(config, names.iter().map(String::as_str))?;
    Ok(())
}

fn check_search(config: &Config, model: &ModelConfig) -> Result<()> {
    let search = &config.search.run;
    let Some(target) = search.target else {
        return Ok(());
    };
    search
        .adapt
        .validate(model, target, search.sample_context)?;
    search::check_target(config, model, target)
}
