//! The results of a benchmark as text.

use longrope_eval::bench::Bench;
use longrope_eval::{MetricValue, TaskResult};

use crate::show::{difference, output, task_table};

/// One row per RoPE, context and metric.
pub(super) fn table(results: &[TaskResult]) -> String {
    let has_differences = results.iter().any(|result| result.difference.is_some());
    let mut header = vec![
        "rope",
        "context",
        "questions",
        "metric",
        "score",
        "± stderr",
    ];
    header.extend(has_differences.then_some("difference"));
    header.push("time");
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for result in results {
        let metrics = std::iter::once(&result.metric).chain(&result.other_metrics);
        for (metric_idx, metric) in metrics.enumerate() {
            let mut row = vec![
                result.rope.clone(),
                output::grouped(result.context),
                output::grouped(result.n),
                metric.name.clone(),
                task_table::percent(&MetricValue {
                    interval: None,
                    stderr: None,
                    ..metric.clone()
                }),
                metric
                    .stderr
                    .map_or_else(|| "-".to_owned(), |stderr| format!("{:.1}", 100.0 * stderr)),
            ];
            // The difference is that of the main metric.
            let main = result.difference.as_ref().filter(|_| metric_idx == 0);
            row.extend(has_differences.then(|| difference::points(main)));
            row.push(output::duration(result.elapsed_secs));
            rows.push(row);
        }
    }
    output::table(&header, &rows)
}

/// A line about questions that are longer than a context.
pub(super) fn cut_line(bench: Bench, results: &[TaskResult]) -> Option<String> {
    let room = |result: &TaskResult| match bench.tokens_to_generate() {
        Some(n_new) => result.context.saturating_sub(n_new),
        // The model does not read the last token.
        None => result.context + 1,
    };
    let n_cut = |result: &TaskResult| {
        let lengths = result.trials.iter().filter_map(|trial| {
            usize::try_from(trial.details.get("n_prompt_tokens")?.as_u64()?).ok()
        });
        lengths.filter(|length| *length > room(result)).count()
    };
    let parts: Vec<String> = results
        .iter()
        .map(|result| (result, n_cut(result)))
        .filter(|(_, n_cut)| *n_cut > 0)
        .map(|(result, n_cut)| {
            format!(
                "{n_cut} of {} at {}",
                result.n,
                output::grouped(result.context)
            )
        })
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "longer than the context, so that their beginnings are cut off as by lm-evaluation-harness: {}",
            parts.join(", ")
        )
    })
}
