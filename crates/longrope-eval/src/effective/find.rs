//! Finding effective lengths in results.
//!
//! RULER (arXiv 2404.06654) compares the score at each length with a fixed score, NoLiMa (arXiv 2502.05167) with 85% of
//! the model's own score at short lengths.

use super::length::{EffectiveLength, EffectiveRule};
use crate::gain::is_in_nats;
use crate::report::{EvalReport, EvalResult, TaskResult};
use crate::ruler::tasks_at_all;
use crate::stats::mean;

/// A score at a context.
struct Point {
    context: usize,
    score: f64,
    /// The lower end of the interval of the score, if it has one.
    low: Option<f64>,
}

/// The effective length of every task and RoPE with results beyond the original window, in the order of their first
/// results. Only scores that are shares, of tasks that are made at any length, have one.
pub fn effective_lengths<'a>(
    results: impl IntoIterator<Item = &'a TaskResult>,
    rule: EffectiveRule,
) -> Vec<EffectiveLength> {
    let mut found: Vec<EffectiveLength> = Vec::new();
    let results = results.into_iter();
    let usable: Vec<&TaskResult> = results.filter(|result| has_length(result)).collect();
    let mut ropes_of_ruler: Vec<&str> = Vec::new();
    for result in &usable {
        let known = |one: &EffectiveLength| one.task == result.task && one.rope == result.rope;
        if !found.iter().any(known) {
            let own = usable
                .iter()
                .filter(|other| other.task == result.task && other.rope == result.rope);
            let points: Vec<Point> = own.map(|other| point(other)).collect();
            found.extend(length(result, &result.task, points, rule));
        }
        if result.task.starts_with("ruler/") && !ropes_of_ruler.contains(&result.rope.as_str()) {
            ropes_of_ruler.push(&result.rope);
        }
    }
    for rope in ropes_of_ruler {
        let own: Vec<&TaskResult> = usable
            .iter()
            .copied()
            .filter(|result| result.rope == rope && result.task.starts_with("ruler/"))
            .collect();
        found.extend(length(own[0], "ruler", ruler_means(&own), rule));
    }
    found
}

impl EvalReport {
    /// The same report with the effective lengths of its results.
    #[must_use]
    pub fn with_effective_lengths(mut self, rule: EffectiveRule) -> Self {
        let tasks = self.results.iter().filter_map(|result| match result {
            EvalResult::Task(result) => Some(result),
            EvalResult::Ppl(_) => None,
        });
        self.effective_lengths = effective_lengths(tasks, rule);
        self
    }
}

/// Whether a result counts for an effective length. One at a context below the original window does not.
fn has_length(result: &TaskResult) -> bool {
    let original = result.original_context;
    original.is_some_and(|original| result.context >= original)
        && result.metric.higher_is_better
        && result.protocol != crate::bench::PROTOCOL
        && !is_in_nats(&result.task)
}

fn point(result: &TaskResult) -> Point {
    Point {
        context: result.context,
        score: result.metric.value,
        low: result.metric.interval.map(|[low, _]| low),
    }
}

/// The mean at every context over the tasks that were run at all of them; of no context if there is no such task.
fn ruler_means(results: &[&TaskResult]) -> Vec<Point> {
    let mut contexts: Vec<usize> = results.iter().map(|result| result.context).collect();
    contexts.sort_unstable();
    contexts.dedup();
    let everywhere = tasks_at_all(results, &contexts);
    if everywhere.is_empty() {
        return Vec::new();
    }
    let mean_at = |context: usize| {
        let here = results
            .iter()
            .filter(|it| it.context == context && everywhere.contains(&it.task.as_str()));
        let scores: Vec<f64> = here.map(|it| it.metric.value).collect();
        mean(&scores)
    };
    let point = |context| Point {
        context,
        score: mean_at(context),
        low: None,
    };
    contexts.into_iter().map(point).collect()
}

/// `None` if there is no context beyond the original window.
fn length(
    example: &TaskResult,
    task: &str,
    mut points: Vec<Point>,
    rule: EffectiveRule,
) -> Option<EffectiveLength> {
    let original_context = example.original_context?;
    points.sort_by_key(|point| point.context);
    let longest_context = points.last().map(|point| point.context)?;
    if longest_context == original_context {
        return None;
    }
    let original = points
        .iter()
        .find(|point| point.context == original_context);
    let (threshold, share) = match rule {
        EffectiveRule::Score(score) => (Some(score), None),
        EffectiveRule::Share(share) => (original.map(|point| share * point.score), Some(share)),
    };
    // A choice among candidates is right by chance now and then.
    let chance = example
        .settings
        .get("candidates")
        .and_then(serde_json::Value::as_f64);
    let unable = original.is_some_and(|point| match chance {
        Some(n) => point.low.unwrap_or(point.score) <= 1.0 / n.max(1.0),
        None => point.score <= 0.0,
    });
    let kept = |point: &&Point| threshold.is_some_and(|threshold| point.score >= threshold - 1e-12);
    let effective = points.iter().take_while(kept).last();
    Some(EffectiveLength {
        task: task.to_owned(),
        rope: example.rope.clone(),
        original_context,
        original_score: original.map(|point| point.score),
        threshold,
        share,
        effective_context: effective.filter(|_| !unable).map(|point| point.context),
        longest_context,
        unable,
    })
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
