//! Tables of task results.

use longrope_eval::{MetricValue, TaskResult};

use crate::show::output;

/// Half the width of a 95% interval, in standard errors.
const NORMAL_95: f64 = 1.96;

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

/// One row per RoPE and metric, one column per context.
pub(crate) fn metrics_by_context(results: &[TaskResult]) -> String {
    let rows = results.iter().flat_map(|result| {
        let metrics = std::iter::once(&result.metric).chain(&result.other_metrics);
        metrics.map(move |metric| {
            let row = format!("{} {}", result.rope, metric.name);
            (row, result.context, with_interval(metric))
        })
    });
    let rows: Vec<(String, usize, String)> = rows.collect();
    let cells = rows
        .iter()
        .map(|(row, context, cell)| (row.as_str(), *context, cell.clone()));
    output::by_context(cells)
}

/// The 95% interval of a share: its own, or that of a normal mean.
pub(crate) fn interval(metric: &MetricValue) -> Option<[f64; 2]> {
    let normal = |stderr: f64| {
        let half = NORMAL_95 * stderr;
        [
            (metric.value - half).max(0.0),
            (metric.value + half).min(1.0),
        ]
    };
    metric.interval.or_else(|| metric.stderr.map(normal))
}

/// Formats a share with its 95% interval.
fn with_interval(metric: &MetricValue) -> String {
    percent(&MetricValue {
        interval: interval(metric),
        ..metric.clone()
    })
}

/// The mean of some shares with its 95% interval, as if they were independent; the interval is `None` if a share has none.
pub(crate) fn mean_share<'a>(
    metrics: impl IntoIterator<Item = &'a MetricValue>,
) -> (f64, Option<[f64; 2]>) {
    let (mut sum, mut squares, mut n) = (0.0, Some(0.0), 0.0);
    for metric in metrics {
        sum += metric.value;
        n += 1.0;
        let half = interval(metric).map(|[low, high]| (high - low) / 2.0);
        squares = squares
            .zip(half)
            .map(|(sum, half): (f64, f64)| sum + half * half);
    }
    let mean = sum / n;
    let around = |squares: f64| {
        let half = squares.sqrt() / n;
        [(mean - half).max(0.0), (mean + half).min(1.0)]
    };
    (mean, squares.map(around))
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

#[cfg(test)]
mod tests {
    use longrope_eval::Metric;

    use super::*;

    fn metric(scores: &[f64]) -> MetricValue {
        MetricValue::of(&Metric::higher("string_match_all"), scores)
    }

    #[test]
    fn every_share_of_several_trials_has_an_interval() {
        // Wilson's of 1 of 2; and 0.75 ± 1.96 · 0.25, cut at 1.
        let [low, high] = interval(&metric(&[0.0, 1.0])).unwrap();
        assert!((low - 0.0945).abs() < 1e-4 && (high - 0.9055).abs() < 1e-4);
        let [low, high] = interval(&metric(&[0.5, 1.0])).unwrap();
        assert!((low - 0.26).abs() < 1e-9 && (high - 1.0).abs() < 1e-12);
        assert_eq!(interval(&metric(&[0.5])), None);
    }

    #[test]
    fn the_interval_of_a_mean_is_narrower() {
        let (one, two) = (metric(&[0.0, 1.0]), metric(&[0.0, 1.0]));
        let (mean, around) = mean_share([&one, &two]);
        let [low, high] = around.unwrap();
        assert!((mean - 0.5).abs() < 1e-12);
        assert!(
            (high - low - 0.810_931 / 2.0_f64.sqrt()).abs() < 1e-5,
            "{low} {high}"
        );
        assert_eq!(mean_share([&one, &metric(&[0.5])]).1, None);
    }
}
