//! Intervals of means of shares that are not just right or wrong.

use super::quantiles::t_95;
use crate::stats::has_spread;

/// The 95% interval of the mean `value` of `n` shares whose standard error is `stderr`, no further than 0 and 1; `None`
/// for fewer than two.
///
/// It is Student's. If all shares are the same, there is no spread to compute it from: up to `1 - 0.025^(1/n)` of all
/// trials may still have other shares (Clopper and Pearson 1934), and the interval holds whatever those are.
pub fn interval_of_shares(value: f64, stderr: f64, n: usize) -> Option<[f64; 2]> {
    if n < 2 {
        return None;
    }
    if !has_spread(stderr) {
        return Some(interval_of_equals(value, [0.0, 1.0], n));
    }
    let half = t_95(n - 1) * stderr;
    Some([(value - half).max(0.0), (value + half).min(1.0)])
}

/// The 95% interval of the mean of numbers in `range`, of which `n` were drawn and all are `value`.
pub(super) fn interval_of_equals(value: f64, range: [f64; 2], n: usize) -> [f64; 2] {
    let others = 1.0 - 0.025_f64.powf(1.0 / n as f64);
    range.map(|end| value + others * (end - value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_shares_are_not_certain() {
        // Of two, 1 - sqrt(0.025) = 84% may be others.
        let [low, high] = interval_of_shares(0.25, 0.0, 2).unwrap();
        assert!((low - 0.039_528).abs() < 1e-6, "{low}");
        assert!((high - 0.881_415).abs() < 1e-6, "{high}");
        let [low, high] = interval_of_equals(0.5, [-1.0, 1.0], 2);
        assert!((low + 0.762_829).abs() < 1e-6, "{low}");
        assert!((high - 0.920_943).abs() < 1e-6, "{high}");
        // Of 20, 17%.
        let [low, high] = interval_of_shares(0.25, 1e-17, 20).unwrap();
        assert!((low - 0.207_892).abs() < 1e-6 && (high - 0.376_325).abs() < 1e-6);
        assert_eq!(interval_of_shares(0.25, 0.0, 1), None);
    }

    #[test]
    fn other_intervals_are_students() {
        // Three degrees of freedom: 3.182 standard errors.
        let [low, high] = interval_of_shares(0.5, 0.05, 4).unwrap();
        assert!((low - 0.3409).abs() < 1e-4 && (high - 0.6591).abs() < 1e-4);
        let [low, high] = interval_of_shares(0.75, 0.25, 2).unwrap();
        assert!(low.abs() < 1e-12 && (high - 1.0).abs() < 1e-12);
    }
}
