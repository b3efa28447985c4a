//! Differences of scores on the same trials.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::difference::{Difference, Estimate, PairedMethod, Unpaired};
use super::gains::gain_difference;
use super::quantiles::{fair_coin, t_95};
use super::shares::interval_of_equals;
use crate::gain::is_in_nats;
use crate::report::{TaskResult, Trial};
use crate::stats::{Z_95, has_spread, is_whole, mean, mean_stderr};

/// An error that names the settings that differ.
fn same_settings(one: &Map<String, Value>, other: &Map<String, Value>) -> Result<(), Unpaired> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = names
        .into_iter()
        .filter(|name| one.get(*name) != other.get(*name));
    let differing: Vec<&String> = differing.collect();
    if differing.is_empty() {
        return Ok(());
    }
    let values = |settings: &Map<String, Value>| {
        let values = differing.iter().map(|name| {
            let value = settings.get(*name);
            let text = value.map_or_else(|| "none".to_owned(), ToString::to_string);
            format!("{name} {text}")
        });
        values.collect::<Vec<_>>().join(", ")
    };
    Err(Unpaired::Settings {
        one: values(one),
        other: values(other),
    })
}

/// The difference of two means of the main metric on the same trials, `one - other`; see [`paired_scores`].
///
/// Context gains have windows of documents instead of trials; see [`window_difference`](super::window_difference).
///
/// # Errors
/// If the two are not of the same trials, scored in the same way.
pub fn task_difference(one: &TaskResult, other: &TaskResult) -> Result<Difference, Unpaired> {
    metric_difference(one, other, 0)
}

/// As [`task_difference`], of one of the metrics: 0 is the main one, the others follow in their order.
///
/// # Errors
/// As [`task_difference`]; also if the trials have no scores of the metric, as it is with means over subjects.
pub fn metric_difference(
    one: &TaskResult,
    other: &TaskResult,
    metric_idx: usize,
) -> Result<Difference, Unpaired> {
    let (name, others_name) = (metric_name(one, metric_idx), metric_name(other, metric_idx));
    Unpaired::unless_equal("task", &one.task, &other.task)?;
    Unpaired::unless_equal(
        "version of the task",
        &one.task_version,
        &other.task_version,
    )?;
    Unpaired::unless_equal("context", &one.context, &other.context)?;
    Unpaired::unless_equal("seed", &one.seed, &other.seed)?;
    Unpaired::unless_equal("protocol", &one.protocol, &other.protocol)?;
    Unpaired::unless_equal("metric", &name, &others_name)?;
    same_settings(&one.settings, &other.settings)?;
    let numbers = |result: &TaskResult| -> Vec<usize> {
        result.trials.iter().map(|trial| trial.trial).collect()
    };
    if numbers(one) != numbers(other) || one.trials.is_empty() {
        return Err(Unpaired::Trials {
            one: one.trials.len(),
            other: other.trials.len(),
        });
    }
    let scores = |trials: &[Trial]| -> Option<Vec<f64>> {
        let scores = trials.iter();
        scores
            .map(|trial| trial.scores.get(metric_idx).copied())
            .collect()
    };
    let (Some(mine), Some(theirs)) = (scores(&one.trials), scores(&other.trials)) else {
        return Err(Unpaired::NoScores {
            metric: name.to_owned(),
        });
    };
    let pairs: Vec<(f64, f64)> = mine.into_iter().zip(theirs).collect();
    if is_in_nats(&one.task) {
        return gain_difference(one, other, differences(&pairs));
    }
    let is_share = |score: f64| (0.0..=1.0).contains(&score);
    let are_shares = pairs
        .iter()
        .all(|pair| is_share(pair.0) && is_share(pair.1));
    Ok(paired(&pairs, are_shares, &other.rope))
}

/// The name of a metric: the main one, then the others.
fn metric_name(result: &TaskResult, metric_idx: usize) -> &str {
    let mut metrics = std::iter::once(&result.metric).chain(&result.other_metrics);
    metrics
        .nth(metric_idx)
        .map_or("none", |metric| metric.name.as_str())
}

/// The difference of two means of scores of the same trials, `one - other`. `reference` is the name of `other`.
///
/// If all scores are 0 or 1, only the trials that differ tell the two apart: `b` of them are right in `one` only, `c` in
/// `other` only.
/// - The p-value is that of `b` heads among `b + c` flips of a fair coin (`McNemar`'s test, exact).
/// - The interval is `p - q ± 1.96 · sqrt((p + q - (p - q)²) / (n + 2))` with `p = (b + 1) / (n + 2)` and
///   `q = (c + 1) / (n + 2)` (Bonett and Price 2012, "Adjusted Wald confidence interval for a difference of binomial
///   proportions based on paired data"), no further than -1 and 1.
///
/// Otherwise the interval is the mean of the differences with the quantile of Student's t; there is none for a single
/// trial, and none if all trials differ by the same, unless by 0.
///
/// Scores beyond the shorter of the two lists are ignored.
pub fn paired_scores(one: &[f64], other: &[f64], reference: &str) -> Difference {
    let pairs: Vec<(f64, f64)> = one.iter().copied().zip(other.iter().copied()).collect();
    paired(&pairs, false, reference)
}

/// As [`paired_scores`]. If the scores are shares, an interval for trials that all differ by the same has room for the
/// others, as that of [`interval_of_shares`](super::interval_of_shares): no difference is further than -1 and 1.
fn paired(pairs: &[(f64, f64)], are_shares: bool, reference: &str) -> Difference {
    let n = pairs.len();
    let is_right = |score: f64| is_whole(score, 1.0);
    let is_binary = |score: f64| is_right(score) || is_whole(score, 0.0);
    if n > 0
        && pairs
            .iter()
            .all(|(one, other)| is_binary(*one) && is_binary(*other))
    {
        let only = |wanted: (bool, bool)| {
            let found = pairs
                .iter()
                .filter(|(one, other)| (is_right(*one), is_right(*other)) == wanted);
            found.count()
        };
        return mcnemar(only((true, false)), only((false, true)), n, reference);
    }
    let differences = differences(pairs);
    let value = mean(&differences);
    let Some(stderr) = mean_stderr(&differences) else {
        return Difference::uncertain(value, n, PairedMethod::TrialsT, reference);
    };
    if are_shares && !has_spread(stderr) {
        let interval = interval_of_equals(value, [-1.0, 1.0], n);
        return Difference {
            interval: Some(interval),
            distinguishable: interval[0] > 0.0 || interval[1] < 0.0,
            ..Difference::uncertain(value, n, PairedMethod::TrialsT, reference)
        };
    }
    let estimate = Estimate {
        value,
        stderr,
        quantile: t_95(n - 1),
    };
    Difference::of(&estimate, n, PairedMethod::TrialsT, reference)
}

fn differences(pairs: &[(f64, f64)]) -> Vec<f64> {
    pairs.iter().map(|(one, other)| one - other).collect()
}

/// The difference of two shares of `n` trials, of which `better` are right in the first only and `worse` in the second
/// only.
fn mcnemar(better: usize, worse: usize, n: usize, reference: &str) -> Difference {
    let adjusted = |count: usize| (count as f64 + 1.0) / (n as f64 + 2.0);
    let (p, q) = (adjusted(better), adjusted(worse));
    let center = p - q;
    let spread = ((p + q - center * center) / (n as f64 + 2.0)).sqrt();
    let interval = [
        (center - Z_95 * spread).max(-1.0),
        (center + Z_95 * spread).min(1.0),
    ];
    let p_value = fair_coin(better, better + worse);
    let count = n as f64;
    let (b, c) = (better as f64 / count, worse as f64 / count);
    Difference {
        reference: reference.to_owned(),
        value: b - c,
        stderr: Some(((b + c - (b - c).powi(2)) / count).max(0.0).sqrt()),
        interval: Some(interval),
        n,
        method: PairedMethod::McNemar,
        p_value: Some(p_value),
        distinguishable: p_value < 0.05 && (interval[0] > 0.0 || interval[1] < 0.0),
    }
}
