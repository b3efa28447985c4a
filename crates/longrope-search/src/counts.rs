//! Whether the counts of a saved state can be those of a search. Sums of them overflow otherwise.

use crate::config::SearchConfig;
use crate::error::{Error, Result};
use crate::generation::Generation;
use crate::scored::Scored;

/// Largest size in a configuration that was saved. Nobody can score more candidates.
const MOST: usize = 1 << 32;

/// What the counts are about.
pub(crate) struct Counted<'a> {
    pub(crate) config: &'a SearchConfig,
    pub(crate) n_samples: Option<usize>,
    pub(crate) entries: &'a [Scored],
    pub(crate) history: &'a [Generation],
    /// Number of seeds, each with every policy.
    pub(crate) n_seeds: usize,
}

/// Checks the counts of a state.
///
/// # Errors
/// [`Error::StateCorrupt`] names the first that cannot be.
pub(crate) fn check(state: &Counted<'_>) -> Result<()> {
    check_config(state.config)?;
    check_entries(state)?;
    state
        .history
        .iter()
        .try_for_each(|generation| check_generation(state, generation))
}

fn check_config(config: &SearchConfig) -> Result<()> {
    for (key, size) in [
        ("population", config.population),
        ("parents", config.parents),
        ("mutations", config.mutations),
        ("crossovers", config.crossovers),
        ("generations", config.generations),
        ("surrogate-pool", config.surrogate_pool),
    ] {
        if size > MOST {
            let found = format!("`{key}` = {size}");
            return Err(corrupt("config", found, format!("at most {MOST}")));
        }
    }
    Ok(())
}

fn check_entries(state: &Counted<'_>) -> Result<()> {
    let n_samples = state.n_samples.unwrap_or(0);
    for (id, entry) in state.entries.iter().enumerate() {
        let fail = |found: String, expected: String| {
            Err(corrupt(
                "memo",
                format!("{found} in candidate {id}"),
                expected,
            ))
        };
        if entry.n_samples > n_samples {
            let expected = format!("at most {n_samples}, the samples of the search");
            return fail(format!("`n_samples` = {}", entry.n_samples), expected);
        }
        if let Some(failure) = entry.failures.iter().find(|one| one.sample >= n_samples) {
            let expected = format!("samples below {n_samples}");
            return fail(format!("a failure of sample {}", failure.sample), expected);
        }
        if let Some(stderr) = entry.score_stderr.filter(|stderr| *stderr < 0.0) {
            let expected = "0 or a positive number".to_owned();
            return fail(format!("`score_stderr` = {stderr}"), expected);
        }
    }
    Ok(())
}

/// Compares the counts of a generation with what was measured for it.
fn check_generation(state: &Counted<'_>, generation: &Generation) -> Result<()> {
    let index = generation.index;
    let measured = || state.entries.iter().filter(|one| one.generation == index);
    let exact = [
        ("evaluations", generation.evaluations, measured().count()),
        (
            "sample_evaluations",
            generation.sample_evaluations,
            measured().map(|one| one.n_samples).sum(),
        ),
        (
            "dropped",
            generation.dropped,
            measured().filter(|one| one.dropped).count(),
        ),
    ];
    for (key, found, expected) in exact {
        if found != expected {
            let found = format!("`{key}` = {found} in generation {index}");
            return Err(corrupt(
                "history",
                found,
                format!("{expected}, as in `memo`"),
            ));
        }
    }
    let proposed = generation
        .proposals
        .saturating_add(generation.policy_trials);
    for (key, found, most) in [
        ("proposals", generation.proposals, MOST),
        ("policy_trials", generation.policy_trials, state.n_seeds),
        ("memo_hits", generation.memo_hits, proposed),
    ] {
        if found > most {
            let found = format!("`{key}` = {found} in generation {index}");
            return Err(corrupt("history", found, format!("at most {most}")));
        }
    }
    Ok(())
}

fn corrupt(field: &'static str, found: String, expected: String) -> Error {
    Error::StateCorrupt {
        field,
        found,
        expected,
    }
}
