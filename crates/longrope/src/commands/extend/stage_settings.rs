//! Settings of a stage that cannot be, whatever its model is, and missing ones.

use anyhow::{Result, anyhow};
use longrope_extend::ObjectiveKind;
use longrope_extend::recipe::Verb;

use super::planned::Planned;
use crate::commands::eval::effective_rule::effective_rule;
use crate::commands::eval::perplexities::check_layout;
use crate::commands::eval::reference::{check_possible_reference, reference};
use crate::commands::eval::{bench, ruler};
use crate::commands::{compare, finetune, generate, recover, search};
use crate::failure::Hint;
use crate::input;
use crate::input::ropes_and_contexts::{only_rope, rope_names};
use crate::settings::config::{Config, SearchStage};
use crate::settings::required;

/// Finds them.
pub(super) fn check(stage: &Planned) -> Result<()> {
    let config = &stage.work.config;
    if matches!(stage.verb, Verb::Search | Verb::Recover) {
        check_evolution(config)?;
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
            recover::check_settings(config)?;
            required(config.rope.first(), "rope")?;
        }
        Verb::Passkey | Verb::Needle | Verb::Ruler => {
            effective_rule(config)?;
        }
        Verb::Bench => bench::check(config)?,
        Verb::Generate => generate::check(config)?,
        Verb::Export if config.rope.is_empty() => return Err(no_rope()),
        _ => {}
    }
    if needs_contexts(stage.verb) && config.contexts.is_empty() {
        return Err(anyhow!("`contexts` is missing").context(Hint(
            "for example contexts = [256, 512, 1024] in the stage".to_owned(),
        )));
    }
    // Earlier versions accepted more. A stage that is done is not run again.
    if stage.is_done() {
        return Ok(());
    }
    check_work(stage.verb, config)?;
    // What a comparison measures depends on the model.
    if stage.verb.measures_ropes() && stage.verb != Verb::Compare {
        let names = rope_names(config);
        reference(config, names.iter().map(String::as_str))?;
    }
    Ok(())
}

/// Finds what a stage whose model is not there yet can be refused for.
pub(super) fn check_without_model(stage: &Planned) -> Result<()> {
    let config = &stage.work.config;
    if stage.verb == Verb::Compare && !stage.is_done() {
        check_possible_reference(config, &compare::possible_names(config))?;
    }
    Ok(())
}

/// Finds settings that its evolution does not take.
fn check_evolution(config: &Config) -> Result<()> {
    config.search.evolution.validate()?;
    search::check_needle_weight(config)?;
    // The texts of needles are made after the model is loaded. Without an objective, they may not be needed.
    let objective = config.search.run.objective.given();
    if objective.is_some_and(|objective| objective != ObjectiveKind::Perplexity) {
        config.search_needle.validate()?;
    }
    Ok(())
}

/// Whether a verb has no contexts if none are given.
fn needs_contexts(verb: Verb) -> bool {
    matches!(
        verb,
        Verb::Ppl | Verb::Passkey | Verb::Needle | Verb::Ruler | Verb::Compare | Verb::Recover
    )
}

/// Finds what a stage that is yet to run would refuse in its turn.
fn check_work(verb: Verb, config: &Config) -> Result<()> {
    match verb {
        Verb::Search => input::check_text_is_given(config),
        Verb::Recover => {
            only_rope(config, recover::TAKER)?;
            input::check_text_is_given(config)
        }
        Verb::Finetune => finetune::check_settings(config),
        Verb::Ppl | Verb::Compare => {
            check_layout(config)?;
            input::check_text_is_given(config)
        }
        Verb::Passkey => Ok(config.passkey.validate()?),
        Verb::Needle => Ok(config.needle.validate()?),
        Verb::Ruler => ruler::check(config),
        Verb::Export => only_rope(config, "an export").map(|_| ()),
        _ => Ok(()),
    }
}

/// The error of an export stage without a RoPE.
pub(super) fn no_rope() -> anyhow::Error {
    anyhow!("the export stage has no `rope`").context(Hint(
        "put a search before it, or set rope = [\"..\"] in the stage".to_owned(),
    ))
}
