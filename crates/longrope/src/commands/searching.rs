//! Shared code of the verbs that search.

use std::path::Path;

use anyhow::Result;
use longrope_extend::{CalibrationOptions, Interrupt, ObjectiveKind, SearchEvent, Watch};
use longrope_search::SearchConfig;

use crate::failure;
use crate::hint::Hint;
use crate::settings::config::Config;
use crate::show::search_view::SearchView;

/// The configured choice of samples.
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

/// Whether the objective needs a tokenizer, because candidates are scored on needles.
pub(crate) fn needs_tokenizer(config: &Config) -> bool {
    config.search.run.objective != ObjectiveKind::Perplexity
}

/// Runs a search and shows it, as a dashboard or as a progress bar.
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

/// Adds a hint on how to continue if the run was interrupted or all devices failed.
pub(crate) fn explain_interruption(error: anyhow::Error, verb: &str, out: &Path) -> anyhow::Error {
    if failure::is_interruption(&error) || failure::is_device_failure(&error) {
        let resume = format!(
            "the state is saved; continue with: longrope {verb} --resume --out {}",
            out.display()
        );
        return error.context(Hint(resume));
    }
    error
}
