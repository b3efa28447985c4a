//! Tables of task results.

use longrope_eval::{MetricValue, TaskResult};

use crate::show::output;

/// One row per RoPE, one column per context.
pub(crate) fn by_context(results: &[TaskResult]) -> String {
    let cells = results.iter().map(|result| {
        (
            result.rope.as_str(),
            result.context,
            percent(&result.metric),
        )
    });
    output::by_context(cells)
}

/// Formats a share with its interval, `80% [58, 92]`, or with its standard error, `80.3% ± 2.1`.
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
