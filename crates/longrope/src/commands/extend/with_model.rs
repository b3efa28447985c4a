//! Settings that the model or the RoPE of a stage does not allow.

use anyhow::{Result, anyhow};
use longrope_extend::recipe::{Place, Verb};
use longrope_model::ModelConfig;

use super::planned::{Planned, is_of_run};
use super::targets::takes_rope;
use crate::commands::eval::reference::reference;
use crate::commands::{compare, finetune, recover, search};
use crate::failure::Hint;
use crate::input::rope_arg::{RopeArg, check_expressible, missing_context};
use crate::input::ropes_and_contexts::{longest_context, rope_names};
use crate::settings::config::Config;
use crate::settings::path_text::to_text;

/// Finds them.
pub(super) fn check(stage: &Planned, place: &Place, model: &ModelConfig) -> Result<()> {
    let config = &stage.work.config;
    let is_there = !takes_rope(stage, place);
    match stage.verb {
        Verb::Ppl | Verb::Passkey | Verb::Needle | Verb::Ruler => {
            check_ropes(config, model, &rope_names(config), place)
        }
        Verb::Bench => check_bench(config, model, place),
        Verb::Compare => check_ropes(config, model, &compare::names(config, model)?, place),
        Verb::Generate => read_ropes(&config.rope, model, model.max_context, place).map(drop),
        Verb::Recover => check_recovery(stage, model, place),
        Verb::Search => check_search(config, model, place),
        Verb::Finetune => finetune::check(config, model, is_there),
        Verb::Export => match config.rope.first().filter(|_| is_there) {
            Some(name) => check_exported(name, model),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Refuses a RoPE that cannot be exported. One that is scaled for a context is scaled for that of the model: an export
/// stage names no other.
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

/// Reads the RoPE whose contexts are recovered, and counts the starts of the searches.
fn check_recovery(stage: &Planned, model: &ModelConfig, place: &Place) -> Result<()> {
    let config = &stage.work.config;
    let first = config.rope.get(..1).unwrap_or_default();
    for (name, rope) in read_ropes(first, model, longest_context(config)?, place)? {
        recover::factor_sets(config, &name, &rope)?;
    }
    if stage.is_done() {
        return Ok(());
    }
    recover::check_starts(config, model)
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
    search::check_sample_context(config, model, target)?;
    search::warn_of_unread_keys(config);
    Ok(())
}
