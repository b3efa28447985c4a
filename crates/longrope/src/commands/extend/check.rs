//! What is wrong with a recipe is found before any of its stages runs.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use longrope_extend::recipe::{Place, Verb, is_inside};

use super::planned::{Planned, is_of_run};
use super::{fits, stage_settings, targets, with_model};
use crate::failure::Hint;
use crate::input::rope_arg::RopeArg;
use crate::input::{self, hub};
use crate::settings::config::Config;
use crate::settings::path_text::to_text;

/// Finds what a stage lacks, before any stage runs: its inputs, and settings that cannot be.
///
/// The stages and their places are those of the whole recipe.
pub(super) fn check(planned: &[Planned], places: &[Place], index: usize) -> Result<()> {
    let (stage, place) = (&planned[index], &places[index]);
    let config = &stage.work.config;
    stage_settings::check(stage)?;
    if stage.verb == Verb::Report {
        return Ok(());
    }
    check_files(stage, place)?;
    let folder = model_folder(config)?;
    // The model of an earlier stage is not there yet; one of the hub is fetched when it is needed.
    let model = if place.model.is_none() && !hub::is_on_hub(folder) {
        Some(input::model_config(config)?)
    } else {
        None
    };
    if let Some(model) = &model {
        with_model::check(stage, place, model)?;
    } else {
        stage_settings::check_without_model(stage)?;
    }
    if let Some(folder) = first_model(planned, places, index) {
        fits::check(stage, folder)?;
    }
    targets::check(planned, places, index, model.as_ref())?;
    if matches!(stage.verb, Verb::Needle | Verb::Ruler) && config.tokens.is_some() {
        tracing::warn!(
            "`tokens` is not read by stage `{}`, which reads text only",
            stage.name
        );
    }
    Ok(())
}

/// The model that the model of a stage is trained from, which has its tokenizer; `None` if it is on the hub.
fn first_model<'p>(
    planned: &'p [Planned],
    places: &[Place],
    mut index: usize,
) -> Option<&'p PathBuf> {
    loop {
        let model = planned[index].work.config.model.as_ref()?;
        if places[index].model.is_none() {
            return Some(model).filter(|model| !hub::is_on_hub(model));
        }
        let mut earlier = planned[..index].iter();
        index = earlier.position(|stage| is_inside(model, &stage.folder))?;
    }
}

/// The model of a stage.
fn model_folder(config: &Config) -> Result<&PathBuf> {
    config.model.as_ref().ok_or_else(|| {
        anyhow!("the model is missing").context(Hint(
            "give it as MODEL, or as `model` in the recipe".to_owned(),
        ))
    })
}

/// Finds files and RoPEs that do not exist, except those that earlier stages make.
fn check_files(stage: &Planned, place: &Place) -> Result<()> {
    let config = &stage.work.config;
    // Those of a stage that is done are not read again.
    if stage.verb.reads("text") && !stage.is_done() {
        input::check_text_is_there(config)?;
    }
    match stage.verb {
        Verb::Finetune if !stage.is_done() => input::check_eval_text_is_there(config)?,
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
