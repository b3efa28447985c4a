//! Numbers of results with their uncertainty.

use longrope_eval::{MetricValue, PplProtocol, PplResult, has_spread, t_95};

use crate::show::output;

/// Windows from which on an interval says something: that of two is 25 standard errors wide.
const LEAST_WINDOWS: usize = 3;

/// The 95% interval of a perplexity, from the spread of its windows, or of its tokens under protocol `llama.cpp`; `None` for
/// one or two of them, or equal ones.
pub(super) fn interval(result: &PplResult) -> Option<[f64; 2]> {
    let n = match result.protocol {
        PplProtocol::Longrope | PplProtocol::Yarn | PplProtocol::Truncate => result.n_windows,
        PplProtocol::LlamaCpp => result.n_tokens,
    };
    if n < LEAST_WINDOWS {
        return None;
    }
    let stderr = result.stderr_nats.filter(|stderr| has_spread(*stderr))?;
    let half = t_95(n.checked_sub(1)?) * stderr;
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

/// The interval of a mean of `n` windows in nats, times 1 or -1: `-0.0120 to +0.0310`.
pub(super) fn nats_interval(metric: &MetricValue, n: usize, sign: f64) -> String {
    of_windows(metric, n).map_or_else(
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

/// The interval of a mean loss of `n` windows: `2.1034 to 2.4471`.
pub(super) fn loss_interval(metric: &MetricValue, n: usize) -> String {
    of_windows(metric, n).map_or_else(
        || "–".to_owned(),
        |[low, high]| format!("{low:.4} to {high:.4}"),
    )
}

/// An interval, unless it is of too few windows.
fn of_windows(metric: &MetricValue, n: usize) -> Option<[f64; 2]> {
    metric.interval.filter(|_| n >= LEAST_WINDOWS)
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
        assert_eq!(
            interval(&result(2)),
            None,
            "12.7 standard errors to each side"
        );
        let equal = PplResult {
            stderr_nats: Some(0.0),
            ..result(4)
        };
        assert_eq!(interval(&equal), None, "four times the same text");
    }

    #[test]
    fn the_interval_of_llama_cpp_is_over_tokens() {
        let result = PplResult {
            n_windows: 1,
            n_tokens: 20_001,
            nll_nats: 2.0,
            stderr_nats: Some(0.1),
            ppl: 2.0_f64.exp(),
            protocol: PplProtocol::LlamaCpp,
            ..PplResult::default()
        };
        let [low, high] = interval(&result).unwrap();
        assert!((low.ln() - 1.804).abs() < 1e-3 && (high.ln() - 2.196).abs() < 1e-3);
    }

    #[test]
    fn two_windows_have_no_interval() {
        let metric = MetricValue {
            name: "full_nats".to_owned(),
            value: 3.6442,
            stderr: Some(1.5408),
            interval: Some([-15.9322, 23.2207]),
            higher_is_better: false,
        };
        assert_eq!(loss_interval(&metric, 2), "–");
        assert_eq!(nats_interval(&metric, 2, 1.0), "–");
        assert_eq!(loss_interval(&metric, 3), "-15.9322 to 23.2207");
    }

    #[test]
    fn relations_are_said_in_words() {
        assert_eq!(relation(3.0, 2.0), "50% higher");
        assert_eq!(relation(1.95, 2.0), "2.5% lower");
        assert_eq!(relation(2.0, 2.0), "the same");
        assert_eq!(relation(3000.0, 2.0), "1500 times as high");
    }
}
