//! Tables of task results.

use longrope_eval::{MetricValue, TaskResult, interval_of_shares};

use crate::show::output;

/// A share, or a mean of shares, with its 95% interval if it has one.
pub(crate) type Share = (f64, Option<[f64; 2]>);

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
            (row, result.context, with_interval(metric, result.n))
        })
    });
    let rows: Vec<(String, usize, String)> = rows.collect();
    let cells = rows
        .iter()
        .map(|(row, context, cell)| (row.as_str(), *context, cell.clone()));
    output::by_context(cells)
}

/// The 95% interval of the share of `n` trials: its own, or that of the mean of shares.
pub(crate) fn interval(metric: &MetricValue, n: usize) -> Option<[f64; 2]> {
    metric
        .interval
        .or_else(|| interval_of_shares(metric.value, metric.stderr?, n))
}

/// Formats a share of `n` trials with its 95% interval.
fn with_interval(metric: &MetricValue, n: usize) -> String {
    percent(&MetricValue {
        interval: interval(metric, n),
        ..metric.clone()
    })
}

/// The mean of some shares with its 95% interval, as if they were independent; the interval is `None` if a share has none.
/// Each comes with its number of trials.
pub(crate) fn mean_share<'a>(of: impl IntoIterator<Item = (&'a MetricValue, usize)>) -> Share {
    let share = |(metric, n): (&MetricValue, usize)| (metric.value, interval(metric, n));
    let shares = of.into_iter().map(share);
    weighted_share(shares.map(|share| (1.0, share)))
}

/// The mean of some shares with these weights, as [`mean_share`].
pub(crate) fn weighted_share(shares: impl IntoIterator<Item = (f64, Share)>) -> Share {
    let (mut sum, mut squares, mut weights) = (0.0, Some([0.0_f64; 2]), 0.0);
    for (weight, (share, interval)) in shares {
        sum += weight * share;
        weights += weight;
        // Each side of its own: the interval of a share near 0 or 1 is not centred on it.
        let both = squares.zip(interval);
        squares = both.map(|([below, above], [low, high])| {
            let (to_low, to_high) = (weight * (share - low), weight * (high - share));
            [below + to_low * to_low, above + to_high * to_high]
        });
    }
    let mean = sum / weights;
    let around = |[below, above]: [f64; 2]| {
        [
            (mean - below.sqrt() / weights).max(0.0),
            (mean + above.sqrt() / weights).min(1.0),
        ]
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
        // Wilson's of 1 of 2; and 0.75 ± 3.182 · 0.1443, cut at 1: Student's with three degrees of freedom.
        let [low, high] = interval(&metric(&[0.0, 1.0]), 2).unwrap();
        assert!((low - 0.0945).abs() < 1e-4 && (high - 0.9055).abs() < 1e-4);
        let [low, high] = interval(&metric(&[0.5, 1.0, 0.5, 1.0]), 4).unwrap();
        assert!((low - 0.2907).abs() < 1e-4 && (high - 1.0).abs() < 1e-12);
        assert_eq!(interval(&metric(&[0.5]), 1), None);
    }

    #[test]
    fn equal_shares_are_not_certain() {
        assert_eq!(with_interval(&metric(&[0.25; 2]), 2), "25% [4, 88]");
        assert_eq!(with_interval(&metric(&[0.2; 20]), 20), "20% [17, 33]");
    }

    #[test]
    fn the_interval_of_a_mean_is_narrower() {
        let (one, two) = (metric(&[0.0, 1.0]), metric(&[0.0, 1.0]));
        let (mean, around) = mean_share([(&one, 2), (&two, 2)]);
        let [low, high] = around.unwrap();
        assert!((mean - 0.5).abs() < 1e-12);
        assert!(
            (high - low - 0.810_931 / 2.0_f64.sqrt()).abs() < 1e-5,
            "{low} {high}"
        );
        assert_eq!(mean_share([(&one, 2), (&metric(&[0.5]), 1)]).1, None);
    }

    #[test]
    fn a_share_that_weighs_more_widens_the_interval_of_a_mean_more() {
        let share = (0.5, Some([0.4, 0.7]));
        let (mean, around) = weighted_share([(1.0, share), (2.0, share)]);
        let [low, high] = around.unwrap();
        assert!((mean - 0.5).abs() < 1e-12);
        // sqrt(1 + 4) / 3 of each side.
        let part = 5.0_f64.sqrt() / 3.0;
        assert!((low - (0.5 - 0.1 * part)).abs() < 1e-12, "{low}");
        assert!((high - (0.5 + 0.2 * part)).abs() < 1e-12, "{high}");
    }
}
