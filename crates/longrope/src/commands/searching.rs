//! What the verbs that search have in common.

use std::path::Path;

use anyhow::Result;
use longrope_extend::{CalibrationOptions, Interrupt, ObjectiveKind, SearchEvent, Watch};
use longrope_search::SearchConfig;

use crate::failure;
use crate::hint::Hint;
use crate::settings::config::Config;
use crate::show::search_view::SearchView;

/// How samples are chosen, as configured.
pub(crate) fn calibration(config: &Config) -> CalibrationOptions {
    let search = &config.search.run;
    CalibrationOptions {
        samples: search.samples,
        objective: search.objective,
        needle_weight: search.needle_weight,
        needles: config.search_needle.clone(),
        passkey_trials: search.passkey_trials,
        seed: config.seed,
    }
}

/// Whether candidates are scored on needles, which need a tokenizer.
pub(crate) fn needs_tokenizer(config: &Config) -> bool {
    config.search.run.objective != ObjectiveKind::Perplexity
}

/// Runs a search while it is shown: with a dashboard if one is wanted, else with a bar.
pub(crate) fn shown<T>(
    config: &Config,
    dashboard: bool,
    interrupt: &Interrupt,
    run: impl FnOnce(&SearchConfig, bool, Watch<'_>) -> longrope_extend::Result<T>,
) -> Result<T> {
    let mut view = SearchView::open(config.search.run.profile.name(), dashboard, interrupt)?;
    let methods_first = view.shows_methods();
    let watch = Watch::new(|event: &SearchEvent| view.event(event));
    let result = run(&config.search.evolution, methods_first, watch);
    let plots = view.close();
    let result = result?;
    plots?;
    Ok(result)
}

/// Adds how to continue, if the run was interrupted or lost its devices.
pub(crate) fn explain_interruption(error: anyhow::Error, verb: &str, out: &Path) -> anyhow::Error {
    if failure::is_interruption(&error) || failure::is_device_failure(&error) {
        let resume = format!(
            "everything is saved; continue with: longrope {verb} --resume --out {}",
            out.display()
        );
        return error.context(Hint(resume));
    }
    error
}
