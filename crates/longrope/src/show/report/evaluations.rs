//! The sections about perplexities and tasks.

use anyhow::Result;
use longrope_eval::{
    Difference, MetricValue, PplResult, TaskResult, is_in_nats, metric_difference,
    window_difference,
};
use maud::{Markup, html as markup};

use super::columns::{header, names};
use super::data::RunReport;
use super::effective::lengths;
use super::figures;
use super::groups::{self, Group, Row, suite};
use super::numbers::{loss_interval, nats_interval, percent, ppl_interval};
use super::parts::{Mark, code, figure, table};
use super::summary::models;
use crate::show::perplexity_table::same_text;
use crate::show::{difference, output, task_table as shares};

/// Perplexities, one table and figure per text and settings.
pub(super) fn perplexities(report: &RunReport) -> Result<Markup> {
    let groups = groups::perplexities(report);
    Ok(markup! {
        @for group in &groups {
            section {
                h2 { "Perplexity" (of_text(groups.len() > 1, group)) }
                p { (code(&measured(report, group))) }
                (ppl_table(group))
                p.note { (code(&reference(group))) }
                @if let Some(drawn) = figures::perplexity(group)? { (figure(&drawn)) }
            }
        }
    })
}

/// The beginning of the fingerprint of the text, if there are several texts.
fn of_text<T>(several: bool, group: &Group<'_, T>) -> String {
    let source = group.source.filter(|_| several);
    let text = source.and_then(|source| source.text_fingerprint.as_deref());
    text.map_or_else(String::new, |text| format!(", text {}", short(text)))
}

/// How the numbers of a group were computed, if not in `f32` with exact angles, and whether RoPEs were in all layers.
fn computed<T>(group: &Group<'_, T>) -> Vec<String> {
    let Some(source) = group.source else {
        return Vec::new();
    };
    let rounding = source.rounding();
    let rounding = rounding.map(|rounding| format!("computed in {rounding}"));
    let layers = source.rope_layers.as_ref();
    let layers = layers.map(|layers| format!("rope-layers {layers}"));
    rounding.into_iter().chain(layers).collect()
}

/// The beginning of a fingerprint.
fn short(fingerprint: &str) -> String {
    fingerprint.chars().take(8).collect()
}

/// How the numbers of a group were measured.
fn measured(report: &RunReport, group: &Group<'_, PplResult>) -> String {
    let mut parts = vec![models(report, group)];
    let text = group
        .source
        .and_then(|source| source.text_fingerprint.as_deref());
    parts.extend(text.map(|text| format!("text {}", short(text))));
    let rows = || group.rows.iter().map(|row| row.result);
    parts.push(counts(rows().map(|result| result.n_windows), "windows"));
    let overlap = rows().any(|result| result.stride != result.context);
    if let Some(first) = rows().next() {
        parts.push(if overlap {
            format!("stride {}", output::grouped(first.stride))
        } else {
            "not overlapping".to_owned() + &same_text(first)
        });
        parts.push(format!("beginning-of-text token: {}", first.bos));
        parts.push(format!("protocol {}", first.protocol));
    }
    parts.extend(computed(group));
    parts.join(", ") + "."
}

/// `4 windows`, or `4 to 8 windows`.
fn counts(values: impl Iterator<Item = usize> + Clone, what: &str) -> String {
    let (least, most) = (values.clone().min(), values.max());
    let (least, most) = (least.unwrap_or(0), most.unwrap_or(0));
    if least == most {
        format!("{} {what} per context", output::grouped(most))
    } else {
        let (least, most) = (output::grouped(least), output::grouped(most));
        format!("{least} to {most} {what} per context")
    }
}

/// What the differences of a table are relative to.
fn reference<T>(group: &Group<'_, T>) -> String {
    let first = group.rows.first().map(|row| group.label(row));
    first.map_or_else(String::new, |first| {
        format!(
            "Difference: to `{first}`, the first row of each context, on the same windows or trials, with its 95% interval; ~ marks what may be chance."
        )
    })
}

/// Whether a row is the first of its context, and our own.
fn mark<T>(group: &Group<'_, T>, row: &Row<'_, T>) -> Mark {
    let is_first = group
        .reference(row.context)
        .is_some_and(|first| std::ptr::eq(first, row));
    match (row.is_own, is_first) {
        (false, false) => Mark::None,
        (true, false) => Mark::Own,
        (false, true) => Mark::First,
        (true, true) => Mark::OwnFirst,
    }
}

/// The difference of a perplexity from the first one of its group, in nats.
fn difference_of(result: &PplResult, first: &PplResult) -> String {
    // Files of older versions do not have the losses of their windows.
    window_difference(result, first).map_or_else(
        |_| difference::unproven_nats(result.reported_nats() - first.reported_nats()),
        |paired| nats(&paired),
    )
}

fn ppl_table(group: &Group<'_, PplResult>) -> Markup {
    let rows = group.rows.iter().map(|row| {
        let result = row.result;
        let mut cells = names(group, row);
        cells.push(output::perplexity(result.reported_ppl()));
        cells.push(ppl_interval(result));
        let first = group.reference(row.context);
        cells.push(match first.filter(|first| !std::ptr::eq(*first, row)) {
            Some(first) => difference_of(result, first.result),
            None => "–".to_owned(),
        });
        cells.push(format!("{:.4}", result.reported_nats()));
        (mark(group, row), cells)
    });
    let header = header(
        group,
        &[
            "perplexity",
            "95% interval",
            "difference, nats",
            "nats/token",
        ],
    );
    table(&header, rows)
}

/// Tasks, one table per suite and settings.
pub(super) fn tasks(report: &RunReport) -> Result<Markup> {
    let groups = groups::tasks(report);
    Ok(markup! {
        @for group in &groups {
            @let first = group.rows.first().map(|row| row.result);
            @let name = first.map_or("", |result| suite(&result.task));
            // One task has figures; a suite of many has a table only.
            @let is_one = group.rows.iter().all(|row| row.result.task == name);
            section {
                h2 { (heading(name)) (of_text(groups.len() > 1, group)) }
                p { (code(&trials(report, group))) }
                (task_table(group, is_one))
                @if is_one { p.note { (code(&reference(group))) } }
                (lengths(group))
                @if is_one {
                    @if let Some(drawn) = figures::scores(heading(name), group)? { (figure(&drawn)) }
                    @for drawn in figures::grids(heading(name), group)? { (figure(&drawn)) }
                }
            }
        }
    })
}

/// The name of a suite for people.
fn heading(suite: &str) -> &str {
    match suite {
        "passkey" => "Passkeys found",
        "needle" => "Needles found",
        "ruler" => "RULER",
        "gain" => "Context gain",
        other => other,
    }
}

/// How the scores of a group were measured.
fn trials(report: &RunReport, group: &Group<'_, TaskResult>) -> String {
    let mut parts = vec![models(report, group)];
    let rows = || group.rows.iter().map(|row| row.result);
    if let Some(first) = rows().next() {
        let in_nats = is_in_nats(&first.task);
        let what = if in_nats { "windows" } else { "trials" };
        parts.push(counts(rows().map(|result| result.n), what));
        parts.push(first.protocol.clone());
        parts.push(format!("version {} of the task", first.task_version));
        parts.push(format!("seed {}", first.seed));
    }
    parts.extend(computed(group));
    parts.join(", ") + "."
}

fn task_table(group: &Group<'_, TaskResult>, is_one: bool) -> Markup {
    let mut rows = Vec::new();
    let in_nats = group.rows.iter().all(|row| is_in_nats(&row.result.task));
    for row in &group.rows {
        let result = row.result;
        let metrics = std::iter::once(&result.metric).chain(&result.other_metrics);
        for (index, metric) in metrics.enumerate() {
            let mut cells = names(group, row);
            if !is_one {
                cells.push(result.task.clone());
            }
            let arrow = if metric.higher_is_better {
                "↑"
            } else {
                "↓"
            };
            cells.push(format!("{} {arrow}", quantity(&metric.name)));
            if in_nats {
                cells.push(format!("{:.4}", metric.value));
                cells.push(if metric.higher_is_better {
                    nats_interval(metric, result.n, 1.0)
                } else {
                    loss_interval(metric, result.n)
                });
            } else {
                cells.push(percent(metric.value, result.n));
                cells.push(interval(metric, result.n));
            }
            if is_one {
                let first = group.reference(row.context);
                let other = first.filter(|first| !std::ptr::eq(*first, row));
                cells.push(other.map_or_else(
                    || "–".to_owned(),
                    |other| points(result, other.result, index),
                ));
            }
            cells.push(output::grouped(result.n));
            rows.push((mark(group, row), cells));
        }
    }
    let others: &[&str] = if in_nats {
        &[
            "quantity",
            "nats/token",
            "95% interval",
            "difference, nats",
            "windows",
        ]
    } else if is_one {
        &["metric", "score", "95% interval", "difference, points", "n"]
    } else {
        &["task", "metric", "score", "95% interval", "n"]
    };
    table(&header(group, others), rows)
}

/// The name of a metric for people.
fn quantity(metric: &str) -> &str {
    match metric {
        "context_gain" => "gain",
        "near_nats" => "loss, original window alone",
        "other_nats" => "loss, other text before the window",
        "full_nats" => "loss, whole context",
        other => other,
    }
}

/// The difference of a metric with its interval, in percentage points or in nats. One of unknown certainty, such as that of
/// means over subjects, is marked as one that may be chance.
fn points(result: &TaskResult, reference: &TaskResult, index: usize) -> String {
    let in_nats = is_in_nats(&result.task);
    if let Ok(paired) = metric_difference(result, reference, index) {
        return if in_nats {
            nats(&paired)
        } else {
            difference::points(Some(&paired))
        };
    }
    let both = value(result, index).zip(value(reference, index));
    both.map_or_else(
        || "–".to_owned(),
        |(one, other)| {
            if in_nats {
                difference::unproven_nats(one - other)
            } else {
                difference::unproven_points(one - other)
            }
        },
    )
}

/// A difference in nats. That of a single window is marked: it proves nothing.
fn nats(paired: &Difference) -> String {
    if paired.half_width().is_none() {
        return difference::unproven_nats(paired.value);
    }
    difference::nats(Some(paired))
}

/// A metric of a result: the main one, then the others.
fn value(result: &TaskResult, index: usize) -> Option<f64> {
    let mut metrics = std::iter::once(&result.metric).chain(&result.other_metrics);
    metrics.nth(index).map(|metric| metric.value)
}

/// The 95% interval of the share of `n` trials: `58 to 92%`.
pub(super) fn interval(metric: &MetricValue, n: usize) -> String {
    // As many digits as the share has.
    let digits = usize::from(n >= 1000);
    shares::interval(metric, n).map_or_else(
        || "–".to_owned(),
        |[low, high]| format!("{:.digits$} to {:.digits$}%", 100.0 * low, 100.0 * high),
    )
}

#[cfg(test)]
mod tests {
    use longrope_eval::{Trial, paired_scores};
    use serde_json::Map;

    use super::*;

    /// Ten trials that are right by the first metric, with these scores by the second, and a mean over subjects.
    fn result(rope: &str, norms: [f64; 10]) -> TaskResult {
        let metric = |name: &str, value: f64| MetricValue {
            name: name.to_owned(),
            value,
            ..MetricValue::default()
        };
        let mean = norms.iter().sum::<f64>() / 10.0;
        let trial = |(trial, norm)| Trial {
            trial,
            scores: vec![1.0, norm],
            details: Map::new(),
        };
        TaskResult {
            task: "mmlu".to_owned(),
            rope: rope.to_owned(),
            n: 10,
            metric: metric("acc", 1.0),
            other_metrics: vec![metric("acc_norm", mean), metric("acc_subject_mean", mean)],
            trials: norms.into_iter().enumerate().map(trial).collect(),
            ..TaskResult::default()
        }
    }

    #[test]
    fn differences_of_further_metrics_have_intervals_or_are_marked() {
        let mut norms = [0.0; 10];
        norms[..4].fill(1.0);
        let (one, none) = (result("yarn", norms), result("none", [0.0; 10]));
        assert_eq!(points(&one, &none, 1), "+40 [-2, +69] ~");
        assert_eq!(points(&one, &none, 2), "+40 ~");
        assert_eq!(points(&one, &none, 3), "–");
    }

    #[test]
    fn the_difference_of_a_single_window_is_marked() {
        assert_eq!(nats(&paired_scores(&[1.5], &[1.0], "none")), "+0.5000 ~");
    }
}
