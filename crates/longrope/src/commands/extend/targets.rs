//! Whether a stage is for longer texts than the search whose factors it takes.

use anyhow::{Context, Result, anyhow};
use longrope_extend::recipe::{Place, Verb};
use longrope_model::ModelConfig;

use super::planned::Planned;
use crate::commands::recover;
use crate::failure::Hint;
use crate::settings::path_text::to_text;

/// Refuses a training on longer texts, and contexts of a recovery that the factors are not for. The model may not be
/// there yet.
pub(super) fn check(
    planned: &[Planned],
    places: &[Place],
    index: usize,
    model: Option<&ModelConfig>,
) -> Result<()> {
    let stage = &planned[index];
    if stage.is_done() {
        return Ok(());
    }
    let config = &stage.work.config;
    let Some(search) = search_before(planned, places, index) else {
        return Ok(());
    };
    let Some(target) = search.work.config.search.run.target else {
        return Ok(());
    };
    match stage.verb {
        Verb::Recover => {
            let checked = recover::check_contexts(config, target);
            checked
                .with_context(|| format!("taking the RoPE that stage `{}` searches", search.name))
        }
        Verb::Finetune => {
            let train = &config.train;
            let original = model.map_or(0, |model| model.rope.original_context);
            let reach = train.reach(train.context.unwrap_or(original));
            if reach <= target {
                return Ok(());
            }
            Err(anyhow!(
                "the training needs a RoPE for {reach} tokens, but stage `{}` searches one for {target}",
                search.name
            )
            .context(Hint(format!(
                "give that stage search.target = {reach}, or train on texts of at most {target} tokens"
            ))))
        }
        _ => Ok(()),
    }
}

/// Whether a stage takes the factors of an earlier one: with a `rope` of its own, it does not.
pub(super) fn takes_rope(stage: &Planned, place: &Place) -> bool {
    let of_stage = place.rope.as_deref().map(to_text);
    of_stage.is_some_and(|rope| stage.work.config.rope.contains(&rope))
}

/// The search whose factors a stage takes, directly or from a recovery, which keeps their target; `None` if they are
/// from elsewhere.
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
