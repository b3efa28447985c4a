//! Tables of task results.

use longrope_eval::{MetricValue, TaskResult};

use crate::output;

/// One row per RoPE, one column per context.
pub(crate) fn by_context(results: &[TaskResult]) -> String {
    let mut contexts: Vec<usize> = Vec::new();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for result in results {
        if !contexts.contains(&result.context) {
            contexts.push(result.context);
        }
    }
    for result in results {
        let row_idx = rows
            .iter()
            .position(|row| row[0] == result.rope)
            .unwrap_or_else(|| {
                let mut row = vec![String::new(); contexts.len() + 1];
                row[0].clone_from(&result.rope);
                rows.push(row);
                rows.len() - 1
            });
        let column = contexts.iter().position(|c| *c == result.context);
        rows[row_idx][column.unwrap_or(0) + 1] = percent(&result.metric);
    }
    let header: Vec<String> = std::iter::once("rope".to_owned())
        .chain(contexts.iter().map(|c| output::grouped(*c)))
        .collect();
    output::table(&header, &rows)
}

/// A share with how sure it is: `80% [58, 92]`, or `80.3% ± 2.1` where it is a mean of shares.
pub(crate) fn percent(metric: &MetricValue) -> String {
    let value = 100.0 * metric.value;
    match (metric.interval, metric.stderr) {
        (Some([low, high]), _) => {
            format!("{value:.0}% [{:.0}, {:.0}]", 100.0 * low, 100.0 * high)
        }
        (None, Some(stderr)) => format!("{value:.1}% ± {:.1}", 100.0 * stderr),
        (None, None) => format!("{value:.1}%"),
    }
}
