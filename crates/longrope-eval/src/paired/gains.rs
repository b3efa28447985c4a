//! Uncertainties of context gains, whose windows are of documents as those of perplexities are.

use serde_json::Value;

use super::difference::{Difference, Unpaired};
use super::windows::Series;
use crate::report::{TaskResult, Trial};

/// Gives the means of a context gain their standard errors and 95% intervals, over its windows.
///
/// Windows of one document are no more independent than those of a perplexity, so they are treated in the same way: see
/// [`window_difference`](super::window_difference). All have the same weight, because all tails have the same size.
pub fn add_gain_intervals(result: &mut TaskResult) {
    let trials = &result.trials;
    let metrics = std::iter::once(&mut result.metric).chain(&mut result.other_metrics);
    for (index, metric) in metrics.enumerate() {
        let scores = trials.iter().filter_map(|trial| trial.scores.get(index));
        let scores: Vec<f64> = scores.copied().collect();
        if scores.is_empty() || scores.len() != trials.len() {
            continue;
        }
        let found = series(scores, trials).difference("");
        metric.stderr = found.stderr;
        metric.interval = found.interval;
    }
}

/// The difference of two gains in the same windows. `differences` has that of each window.
///
/// # Errors
/// If the windows are not the same.
pub(super) fn gain_difference(
    one: &TaskResult,
    other: &TaskResult,
    differences: Vec<f64>,
) -> Result<Difference, Unpaired> {
    if places(&one.trials) != places(&other.trials) {
        return Err(Unpaired::Windows);
    }
    Ok(series(differences, &one.trials).difference(&other.rope))
}

fn series(differences: Vec<f64>, trials: &[Trial]) -> Series {
    Series {
        weights: vec![1.0; differences.len()],
        differences,
        documents: documents(trials),
        n_sharing: 1,
    }
}

/// The document of each window; one each if a trial does not name its own.
fn documents(trials: &[Trial]) -> Vec<usize> {
    let document = |trial: &Trial| {
        let document = trial.details.get("document")?.as_u64()?;
        usize::try_from(document).ok()
    };
    let named: Option<Vec<usize>> = trials.iter().map(document).collect();
    named.unwrap_or_else(|| (0..trials.len()).collect())
}

/// Where each window begins.
fn places(trials: &[Trial]) -> Vec<[Option<&Value>; 2]> {
    let names = ["document", "window_start"];
    trials
        .iter()
        .map(|trial| names.map(|name| trial.details.get(name)))
        .collect()
}
