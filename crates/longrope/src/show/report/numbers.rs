//! Numbers of results with their uncertainty.

use longrope_eval::PplResult;

use crate::show::output;

/// The 0.975 quantiles of Student's t distribution for 1 to 10 degrees of freedom.
const T_975: [f64; 10] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228,
];

/// The 0.975 quantile of Student's t distribution.
///
/// Above ten degrees of freedom by the first terms of its expansion in `1 / degrees` (Abramowitz and Stegun 26.7.5).
fn t_975(degrees: usize) -> f64 {
    const Z: f64 = 1.959_964;
    match degrees {
        0 => f64::NAN,
        1..=10 => T_975[degrees - 1],
        _ => {
            let n = degrees as f64;
            let first = (Z.powi(3) + Z) / 4.0;
            let second = (5.0 * Z.powi(5) + 16.0 * Z.powi(3) + 3.0 * Z) / 96.0;
            Z + first / n + second / (n * n)
        }
    }
}

/// The 95% interval of a perplexity, from the spread of its windows; `None` for a single window.
pub(super) fn interval(result: &PplResult) -> Option<[f64; 2]> {
    let half = t_975(result.n_windows.checked_sub(1)?) * result.stderr_nats?;
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
    fn quantiles_are_those_of_tables() {
        // Tables of Student's distribution: 11, 30 and 100 degrees of freedom.
        for (degrees, expected) in [(3, 3.182), (11, 2.201), (30, 2.042), (100, 1.984)] {
            assert!((t_975(degrees) - expected).abs() < 0.004, "{degrees}");
        }
    }

    #[test]
    fn relations_are_said_in_words() {
        assert_eq!(relation(3.0, 2.0), "50% higher");
        assert_eq!(relation(1.95, 2.0), "2.5% lower");
        assert_eq!(relation(2.0, 2.0), "the same");
        assert_eq!(relation(3000.0, 2.0), "1500 times as high");
    }
}
