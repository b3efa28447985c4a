//! Quantiles of two-sided 95% intervals, and probabilities of coin flips.

use crate::stats::Z_95;

/// From this number of degrees of freedom on, Student's t is the normal distribution, up to the fourth digit.
const MANY: usize = 10_000;

/// Quantile of Student's t with this many degrees of freedom, for a two-sided 95% interval.
///
/// `P(|T| ≤ t) = 1 - I_x(df/2, 1/2)` with `x = df / (df + t²)` and the regularized incomplete beta function `I` (Abramowitz
/// and Stegun 26.7.1), inverted by bisection. Infinite for no degree of freedom.
pub(crate) fn t_95(df: usize) -> f64 {
    if df == 0 {
        return f64::INFINITY;
    }
    if df > MANY {
        return Z_95;
    }
    let df = df as f64;
    let (mut low, mut high) = (Z_95, 13.0);
    for _ in 0..60 {
        let t = f64::midpoint(low, high);
        let outside = incomplete_beta(df / 2.0, 0.5, df / (df + t * t));
        if outside > 0.05 {
            low = t;
        } else {
            high = t;
        }
    }
    f64::midpoint(low, high)
}

/// Quantile for the studentized mean whose variance is estimated from moving blocks that have the share `b` of all
/// values, for a two-sided 95% interval. 1.96 for short blocks.
///
/// A polynomial fitted to simulations, for Bartlett's kernel, whose weights are those of moving blocks (Kiefer and
/// Vogelsang 2005, "A new asymptotic theory for heteroskedasticity-autocorrelation robust tests", table 1).
pub(super) fn fixed_b_95(b: f64) -> f64 {
    Z_95 + b * (2.9694 + b * (0.4160 - b * 0.5324))
}

/// The regularized incomplete beta function `I_x(a, b)`, by its continued fraction (Abramowitz and Stegun 26.5.8).
fn incomplete_beta(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges fast on this side only.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - incomplete_beta(b, a, 1.0 - x);
    }
    let front = a * x.ln() + b * (-x).ln_1p() - a.ln() - ln_beta(a, b);
    front.exp() / fraction(a, b, x)
}

/// The continued fraction `1 + d1/(1 + d2/(1 + ..))` of the incomplete beta function, from its end.
fn fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut value = 1.0;
    for step in (1..=300).rev() {
        let m = f64::from(step / 2);
        let d = if step % 2 == 0 {
            m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m))
        } else {
            -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0))
        };
        value = 1.0 + d / value;
    }
    value
}

/// `ln B(a, b)`.
fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// `ln Γ(x)` for positive `x`: Stirling's series (Abramowitz and Stegun 6.1.41) after a shift to large arguments.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / (x * x);
    let series =
        (1.0 / 12.0 - inverse * (1.0 / 360.0 - inverse * (1.0 / 1260.0 - inverse / 1680.0))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * std::f64::consts::PI).ln() + series - shift
}

/// Two-sided p-value of `n_heads` heads among `n` flips of a fair coin: twice the smaller tail, at most 1.
pub(super) fn fair_coin(n_heads: usize, n: usize) -> f64 {
    let smaller = n_heads.min(n - n_heads);
    let mut ln_term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=smaller {
        tail += ln_term.exp();
        ln_term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        // Abramowitz and Stegun, table 26.10.
        for (df, expected) in [
            (1, 12.706),
            (2, 4.303),
            (3, 3.182),
            (7, 2.365),
            (10, 2.228),
            (30, 2.042),
            (120, 1.980),
            (100_000, 1.960),
        ] {
            assert!((t_95(df) - expected).abs() < 6e-4, "{df}: {}", t_95(df));
        }
        assert!(t_95(0).is_infinite());
        // Close to one block, nearly twice the normal quantile.
        assert!((fixed_b_95(0.0) - 1.96).abs() < 1e-4);
        assert!((fixed_b_95(0.5) - 3.482).abs() < 1e-3);
    }

    #[test]
    fn coins_are_exact() {
        // 2 · (1 + 10) / 1024
        assert!((fair_coin(1, 10) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((fair_coin(9, 10) - 22.0 / 1024.0).abs() < 1e-12);
        assert!((fair_coin(5, 10) - 1.0).abs() < 1e-12);
        assert!((fair_coin(0, 0) - 1.0).abs() < 1e-12);
        assert!(fair_coin(400, 1000) < 1e-9 && fair_coin(400, 1000) > 0.0);
    }
}
