//! Numbers of results with their uncertainty.

use longrope_eval::{MetricValue, PplResult, t_95};

use crate::show::output;

/// The 95% interval of a perplexity, from the spread of its windows; `None` for a single window.
pub(super) fn interval(result: &PplResult) -> Option<[f64; 2]> {
    let half = t_95(result.n_windows.checked_sub(1)?) * result.stderr_nats?;
    let ppl = result.reported_ppl();
    half.is_finite()
        .then(|| [ppl * (-half).exp(), ppl * half.exp()])
}

/// `8.1 to 9.3`
pub(super) fn ppl_interval(result: &PplResult) -> String {
    interval(result).map_or_else(
        || "–".to_owned(),
        |[low, high]| {
            format!(
                "{} to {}",
                output::perplexity(low),
                output::perplexity(high)
            )
        },
    )
}

/// The interval of a mean in nats, times 1 or -1: `-0.0120 to +0.0310`.
pub(super) fn nats_interval(metric: &MetricValue, sign: f64) -> String {
    metric.interval.map_or_else(
        || "–".to_owned(),
        |[low, high]| {
            let (low, high) = if sign < 0.0 {
                (-high, -low)
            } else {
                (low, high)
            };
            format!("{low:+.4} to {high:+.4}")
        },
    )
}

/// A share in percent, without decimals that few trials do not have.
pub(super) fn percent(share: f64, n: usize) -> String {
    if n >= 1000 {
        format!("{:.1}%", 100.0 * share)
    } else {
        format!("{:.0}%", 100.0 * share)
    }
}

/// How much larger `a` is than `b`: `12% higher`, `3.1% lower`, `the same`.
pub(super) fn relation(a: f64, b: f64) -> String {
    let percent = 100.0 * (a / b - 1.0);
    let size = percent.abs();
    let size = if size >= 1000.0 {
        format!("{} times as high", output::significant((a / b).round()))
    } else {
        let digits = usize::from(size < 10.0);
        let side = if percent > 0.0 { "higher" } else { "lower" };
        format!("{size:.digits$}% {side}")
    };
    if percent.abs() < 0.05 {
        "the same".to_owned()
    } else {
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_students() {
        let result = |n_windows| PplResult {
            n_windows,
            nll_nats: 2.0,
            stderr_nats: Some(0.1),
            ppl: 2.0_f64.exp(),
            ..PplResult::default()
        };
        // Four windows: 3.182 standard errors, by tables of Student's distribution.
        let [low, high] = interval(&result(4)).unwrap();
        assert!((low.ln() - 1.6818).abs() < 1e-3 && (high.ln() - 2.3182).abs() < 1e-3);
        assert_eq!(interval(&result(1)), None);
    }

    #[test]
    fn relations_are_said_in_words() {
        assert_eq!(relation(3.0, 2.0), "50% higher");
        assert_eq!(relation(1.95, 2.0), "2.5% lower");
        assert_eq!(relation(2.0, 2.0), "the same");
        assert_eq!(relation(3000.0, 2.0), "1500 times as high");
    }
}
