//! What a search that is continued takes from the one that was begun, by this version of the program or an earlier one.

use std::path::Path;

use longrope_rope::RopeSpec;
use longrope_search::{SearchConfig, TargetRope};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::run_folder::RunMode;
use crate::search::held_out::split::HeldOutShare;
use crate::search::inputs::SearchInputs;
use crate::search::objective::choice::ObjectiveChoice;
use crate::search::saved::recorded::Recorded;
use crate::search::saved::state::begun_state;

/// The inputs of a search that an earlier version may have begun, as that version took them: without text held out, and
/// without its seed from dynamic NTK.
///
/// # Errors
/// If the state of the search is damaged. It is named before anything is compared with settings that are only guessed.
pub(super) fn begun_as<'a>(
    mut inputs: SearchInputs<'a>,
    begun: Option<&Recorded>,
    out: &Path,
    mode: RunMode,
) -> Result<SearchInputs<'a>> {
    if mode == RunMode::New {
        return Ok(inputs);
    }
    if begun.is_some_and(|begun| begun.held_out_fingerprint.is_none()) {
        inputs.held_out = HeldOutShare::NOTHING;
    }
    take_begun_seeds(&mut inputs.evolution, out)?;
    Ok(inputs)
}

/// Takes the seeds of a search that an earlier version may have begun, if they are the defaults of that version.
pub(super) fn take_begun_seeds(evolution: &mut SearchConfig, out: &Path) -> Result<()> {
    let defaults = SearchConfig::default().seeds;
    if let Some(state) = begun_state(out)?
        && evolution.seeds == defaults
        && state.config().seeds == defaults[..defaults.len() - 1]
    {
        evolution.seeds.clone_from(&state.config().seeds);
    }
    Ok(())
}

/// What is searched for, and the RoPE that the model has now. A search that an earlier version has begun goes on as that
/// version took it: every model for one with a plain RoPE.
pub(super) fn target_and_own(
    target: TargetRope,
    inputs: &SearchInputs<'_>,
    begun: Option<&Recorded>,
) -> (TargetRope, RopeSpec) {
    let own = &inputs.models.decoder().config().rope;
    if begun.is_some_and(Recorded::took_for_plain) {
        if target.own().is_some() {
            tracing::warn!(
                "an earlier version has begun this search and took the RoPE of the model for plain: within the original \
                 context, the result will be plain too. For one that keeps the RoPE of the model there, begin a new search"
            );
        }
        return (target.without_own(), own.plain());
    }
    (target, own.clone())
}

/// Sets the objective of a search that is left to choose: that of the search which is continued, or a new choice. `None`
/// if it was begun with a given objective.
pub(super) fn choose(
    inputs: &mut SearchInputs<'_>,
    begun: Option<&Recorded>,
    own: &RopeSpec,
    context: usize,
    interrupt: &Interrupt,
) -> Result<Option<ObjectiveChoice>> {
    let choice = match begun {
        Some(begun) => begun.objective_choice.clone(),
        None => Some(ObjectiveChoice::make(inputs, own, context, interrupt)?),
    };
    if let Some(choice) = &choice {
        choice.apply(&mut inputs.calibration);
    } else if let Some(given) = begun.and_then(Recorded::objective_kind) {
        inputs.calibration.objective = given;
    }
    Ok(choice)
}
