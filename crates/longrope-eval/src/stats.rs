//! Means and their uncertainty.

/// Standard normal quantile of a two-sided 95% interval.
pub(crate) const Z_95: f64 = 1.959_963_984_540_054;

/// Whether a score is this whole number.
pub(crate) fn is_whole(score: f64, whole: f64) -> bool {
    (score - whole).abs() < f64::EPSILON
}

/// Whether a standard error shows that values differ. That of equal values is 0 up to rounding, and says nothing about
/// how others would vary.
pub fn has_spread(stderr: f64) -> bool {
    stderr > 1e-9
}

/// Arithmetic mean; NaN if there are no values.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Standard error of the mean from the spread of the values (divisor `n - 1`); `None` for fewer
/// than two.
pub fn mean_stderr(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let n = values.len() as f64;
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    Some((squares / (n - 1.0) / n).sqrt())
}

/// Wilson's 95% interval for a probability, if `n_success` of `n` trials succeeded.
///
/// Unlike `p ± 1.96·stderr`, it is valid for few trials, and if none or all of them succeeded.
///
/// `(p + z²/2n ± z·sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)` (Wilson 1927).
pub fn wilson_interval(n_success: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let n_trials = n as f64;
    let p = n_success as f64 / n_trials;
    let z2 = Z_95 * Z_95;
    let center = p + z2 / (2.0 * n_trials);
    let half = Z_95 * (p * (1.0 - p) / n_trials + z2 / (4.0 * n_trials * n_trials)).sqrt();
    let scale = 1.0 + z2 / n_trials;
    // Rounding must not move the ends outside of 0..=1.
    let low = if n_success == 0 {
        0.0
    } else {
        (center - half) / scale
    };
    let high = if n_success == n {
        1.0
    } else {
        (center + half) / scale
    };
    [low, high]
}

/// Spearman's rank correlation of two lists, -1 to 1: Pearson's correlation of the ranks, where equal values share the mean
/// of their ranks (Spearman 1904).
///
/// `None` for lists of different lengths, of fewer than two values, with a NaN, or of equal values only.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    let has_nan = a.iter().chain(b).any(|value| value.is_nan());
    if a.len() != b.len() || a.len() < 2 || has_nan {
        return None;
    }
    let (a, b) = (ranks(a), ranks(b));
    // The mean of all ranks, with ties or without.
    let middle = (a.len() + 1) as f64 / 2.0;
    let covariance = |a: &[f64], b: &[f64]| -> f64 {
        let pairs = a.iter().zip(b);
        pairs.map(|(a, b)| (a - middle) * (b - middle)).sum()
    };
    let spread = (covariance(&a, &a) * covariance(&b, &b)).sqrt();
    (spread > 0.0).then(|| covariance(&a, &b) / spread)
}

/// Rank of every value, from 1 for the smallest; equal values have the mean of their ranks.
fn ranks(values: &[f64]) -> Vec<f64> {
    let rank = |value: &f64| {
        let smaller = values.iter().filter(|other| *other < value).count();
        let not_larger = values.iter().filter(|other| *other <= value).count();
        (smaller + not_larger + 1) as f64 / 2.0
    };
    values.iter().map(rank).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_wilsons() {
        // Worked out by hand: p 0.8, n 20, z² 3.8415.
        let [low, high] = wilson_interval(16, 20);
        assert!((low - 0.5840).abs() < 1e-4, "{low}");
        assert!((high - 0.9193).abs() < 1e-4, "{high}");
        // All of n: n / (n + z²).
        let [low, high] = wilson_interval(20, 20);
        assert!((low - 20.0 / (20.0 + 3.841_458_8)).abs() < 1e-8);
        assert!((high - 1.0).abs() < 1e-12);
        let [low, high] = wilson_interval(0, 10);
        assert!(low.abs() < 1e-12 && (high - 3.841_458_8 / 13.841_458_8).abs() < 1e-8);
    }

    #[test]
    fn rank_correlations_by_hand() {
        let close = |found: Option<f64>, expected: f64| {
            assert!((found.unwrap() - expected).abs() < 1e-12, "{found:?}");
        };
        // Any rising function of the values has the same ranks.
        close(spearman(&[1.0, 2.0, 30.0], &[-5.0, 0.1, 0.2]), 1.0);
        close(spearman(&[1.0, 2.0, 3.0], &[9.0, 8.0, 7.0]), -1.0);
        // Ranks 1 2 3 4 and 2 1 4 3: 1 - 6 · 4 / (4 · 15).
        close(spearman(&[1.0, 2.0, 3.0, 4.0], &[0.2, 0.1, 0.4, 0.3]), 0.6);
        // Ranks 1 2 3 and 1.5 1.5 3: 1.5 / sqrt(2 · 1.5).
        close(
            spearman(&[1.0, 2.0, 3.0], &[5.0, 5.0, 6.0]),
            0.75_f64.sqrt(),
        );
        assert_eq!(spearman(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(spearman(&[1.0], &[3.0]), None);
        assert_eq!(spearman(&[1.0, f64::NAN], &[3.0, 4.0]), None);
        assert_eq!(spearman(&[1.0, 2.0], &[3.0]), None);
    }

    #[test]
    fn errors_of_means_come_from_the_spread() {
        assert_eq!(mean_stderr(&[1.0]), None);
        // Deviations ±1, variance 4/3, stderr sqrt(1/3).
        let stderr = mean_stderr(&[1.0, 3.0, 1.0, 3.0]).unwrap();
        assert!((stderr - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }
}
