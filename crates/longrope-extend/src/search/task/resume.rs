//! Whether a search is the one in its folder, and the search that is there.

use longrope_data::sha256_hex;
use longrope_search::{Candidate, Search, SearchConfig, SearchProblem, SearchState};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::run_folder::{RunFolder, differences, trace_of_search};
use crate::search::inputs::SearchInputs;
use crate::search::saved::recorded::{INPUTS_FILE, Recorded};
use crate::search::saved::state::{STATE_FILE, read_state, save_state};

/// The search in its folder: the one that was saved there, or a new one.
///
/// # Errors
/// Those of [`resume`] and of [`Recorded::check`]; files that cannot be written.
pub(super) fn resumed_or_new(run: &RunFolder, new: Search, recorded: &Recorded) -> Result<Search> {
    let search = if run.has_work() {
        let search = resume(run, new.state())?;
        recorded.check(run)?;
        search
    } else {
        run.write_json(INPUTS_FILE, recorded)?;
        new
    };
    // Saved before the first generation, so that a run killed during it can be resumed.
    save_state(run, &search)?;
    Ok(search)
}

/// Resumes a search that would now be begun as `new`.
///
/// # Errors
/// [`Error::SearchStateGone`] if its state was removed; if it cannot be read, or its settings differ from the present ones.
fn resume(run: &RunFolder, new: &SearchState) -> Result<Search> {
    let path = run.path(STATE_FILE);
    if !path.is_file()
        && let Some(found) = trace_of_search(run.root())
    {
        return Err(Error::SearchStateGone { path, found });
    }
    let state = read_state(&path)?;
    let of = |state: &SearchState| fixed(state.problem(), state.config(), state.seed());
    let changes = differences(&of(&state)?, &of(new)?)?;
    if !changes.is_empty() {
        return Err(Error::OtherSettings { path, changes });
    }
    Search::resume(state).map_err(|source| Error::ReadState { path, source })
}

/// What a search is begun with, for its `run.json`: what must be the same for it to be continued, and what its state does not
/// have. The start is a fingerprint; those of the model and of the seeds follow from the rest.
pub(super) fn begun_with(
    problem: &SearchProblem,
    inputs: &SearchInputs<'_>,
    init: &[Candidate],
) -> Result<Value> {
    let seed = inputs.calibration.seed;
    let mut begun = known(problem, &inputs.evolution, seed, &inputs.profile)?;
    let start = serde_json::to_vec(init)?;
    begun["search.init"] = json!((!init.is_empty()).then(|| sha256_hex(&[&start])));
    Ok(begun)
}

/// The part of [`begun_with`] that is known before the model and the text are loaded.
pub(super) fn known(
    problem: &SearchProblem,
    evolution: &SearchConfig,
    seed: u64,
    profile: &str,
) -> Result<Value> {
    let mut known = fixed(problem, evolution, seed)?;
    known["search.profile"] = json!(profile);
    Ok(known)
}

/// What must be the same for a search to be continued, besides its inputs.
fn fixed(problem: &SearchProblem, evolution: &SearchConfig, seed: u64) -> Result<Value> {
    let mut fixed = serde_json::to_value(problem)?;
    // Settings that mean the same are the same: states of version 0.1 may have others written.
    fixed["search"] = serde_json::to_value(evolution.clone().canonical())?;
    fixed["seed"] = seed.into();
    Ok(fixed)
}
