//! Shared code of the verbs that search.

use anyhow::Result;
use longrope_data::{TokenDocument, Tokenizer, text_fingerprint};
use longrope_extend::{CalibrationOptions, Interrupt, Models, SearchEvent, SearchInputs, Watch};

use super::not_finite;
use crate::input;
use crate::settings::config::Config;
use crate::show::search_view::SearchView;

/// The configured choice of samples.
pub(super) fn calibration(config: &Config) -> CalibrationOptions {
    let search = &config.search.run;
    CalibrationOptions {
        samples: search.samples,
        // Replaced by that of the search, if it is left to choose.
        objective: search.objective.given().unwrap_or_default(),
        needle_weight: search.needle_weight,
        needles: config.search_needle.clone(),
        passkey_trials: search.passkey_trials,
        seed: config.seed,
    }
}

/// Model, text and settings of a search, as configured.
pub(crate) fn inputs<'a>(
    config: &Config,
    models: &'a Models,
    documents: &'a [TokenDocument],
    tokenizer: Option<&'a Tokenizer>,
) -> Result<SearchInputs<'a>> {
    let search = &config.search;
    Ok(SearchInputs {
        models,
        source: input::source(config, Some(text_fingerprint(documents)))?,
        documents,
        held_out: search.run.held_out,
        tokenizer,
        calibration: calibration(config),
        sample_context: search.run.sample_context,
        profile: search.run.profile.name().to_owned(),
        evolution: search.evolution.clone(),
        settings: config.to_toml()?,
    })
}

/// Runs a search and shows it, as a dashboard or as a progress bar.
pub(crate) fn shown<T>(
    config: &Config,
    dashboard: bool,
    interrupt: &Interrupt,
    run: impl FnOnce(bool, Watch<'_>) -> longrope_extend::Result<T>,
) -> Result<T> {
    let mut view = SearchView::open(config.search.run.profile.name(), dashboard, interrupt)?;
    let methods_first = view.shows_methods();
    let watch = Watch::new(|event: &SearchEvent| view.event(event));
    let result = run(methods_first, watch);
    let plots = view.close();
    let result =
        result.map_err(|error| not_finite::explain(error.into(), config.model.as_deref()))?;
    plots?;
    Ok(result)
}
