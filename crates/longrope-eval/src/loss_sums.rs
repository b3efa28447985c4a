//! Sums of losses, and the perplexity that they give.

/// The perplexity of a loss in nats. At most the largest `f64`, so that a finite loss has a finite perplexity.
pub fn ppl_of(nats: f64) -> f64 {
    let ppl = nats.exp();
    if ppl.is_infinite() { f64::MAX } else { ppl }
}

/// Sums of losses, in `f64`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Perplexity {
    /// Sum of the losses, nats.
    pub total_nats: f64,
    /// Scored tokens.
    pub n_tokens: usize,
    /// Scored windows.
    pub n_windows: usize,
    /// Sum over windows of their mean loss, nats.
    pub window_means: f64,
    /// Sum over windows of the square of their mean loss.
    window_squares: f64,
    /// Sum over tokens of the square of their loss.
    token_squares: f64,
    /// Mean loss of the first window. Losses are compared with it: sums of squares of the losses themselves would round
    /// small differences away.
    first_mean: f64,
    /// Sums over windows of `t²`, `t²·d` and `t²·d²`, with the tokens `t` of a window and the difference `d` of its mean
    /// loss to that of the first.
    weighted: [f64; 3],
}

impl Perplexity {
    /// Adds the losses of one window.
    pub fn add(&mut self, losses: &[f32]) {
        if losses.is_empty() {
            return;
        }
        let sum: f64 = losses.iter().map(|nll| f64::from(*nll)).sum();
        let n_tokens = losses.len() as f64;
        let mean = sum / n_tokens;
        if self.n_windows == 0 {
            self.first_mean = mean;
        }
        let (weight, difference) = (n_tokens * n_tokens, mean - self.first_mean);
        self.weighted[0] += weight;
        self.weighted[1] += weight * difference;
        self.weighted[2] += weight * difference * difference;
        self.total_nats += sum;
        self.n_tokens += losses.len();
        self.n_windows += 1;
        self.window_means += mean;
        self.window_squares += mean * mean;
        self.token_squares += losses.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    }

    /// Mean loss per token, `Σ nats / Σ tokens`; NaN if nothing was scored.
    pub fn nll_nats(&self) -> f64 {
        self.total_nats / self.n_tokens as f64
    }

    /// `exp(Σ nats / Σ tokens)`.
    pub fn ppl(&self) -> f64 {
        ppl_of(self.nll_nats())
    }

    /// `exp` of the mean over windows of their mean loss, as other tools report it. Equal to
    /// [`Self::ppl`] if all windows score equally many tokens.
    pub fn ppl_window_mean(&self) -> f64 {
        ppl_of(self.window_means / self.n_windows as f64)
    }

    /// Standard error of [`Self::nll_nats`], from the spread between windows; `None` for fewer than two. Windows of one
    /// document are not independent, so it is a lower bound.
    ///
    /// With the tokens `t` and the mean loss `m` of each of `n` windows, the mean loss `M = Σ t·m / Σ t` is a ratio of sums.
    /// Its error is `sqrt( n/(n-1) · Σ t²(m - M)² ) / Σ t` (Cochran, Sampling Techniques, section 6.4).
    pub fn stderr_nats(&self) -> Option<f64> {
        if self.n_windows < 2 {
            return None;
        }
        let n = self.n_windows as f64;
        let mean = self.nll_nats() - self.first_mean;
        let [weights, linear, squares] = self.weighted;
        let errors = squares - 2.0 * mean * linear + mean * mean * weights;
        Some((errors.max(0.0) * n / (n - 1.0)).sqrt() / self.n_tokens as f64)
    }

    /// Standard error of the mean over windows, of which each has the same weight, from the spread between them; `None` for
    /// fewer than two.
    pub fn window_mean_stderr_nats(&self) -> Option<f64> {
        if self.n_windows < 2 {
            return None;
        }
        let n = self.n_windows as f64;
        let mean = self.window_means / n;
        let variance = (self.window_squares / n - mean * mean).max(0.0) * n / (n - 1.0);
        Some((variance / n).sqrt())
    }

    /// Standard error of the mean loss, from the spread between tokens as if they were independent; `None` for fewer
    /// than two.
    pub fn token_stderr_nats(&self) -> Option<f64> {
        if self.n_tokens < 2 {
            return None;
        }
        let n = self.n_tokens as f64;
        let variance = (self.token_squares / n - self.nll_nats().powi(2)).max(0.0);
        Some((variance / (n - 1.0)).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_weigh_equally_and_windows_are_reported_too() {
        let mut sum = Perplexity::default();
        sum.add(&[1.0, 2.0, 3.0]);
        sum.add(&[6.0]);
        assert!((sum.nll_nats() - 3.0).abs() < 1e-12); // 12 nats, 4 tokens
        assert!((sum.ppl_window_mean().ln() - 4.0).abs() < 1e-12); // mean of 2 and 6
        // sd sqrt(8), n 2
        assert!((sum.window_mean_stderr_nats().unwrap() - 2.0).abs() < 1e-12);
        // sqrt(2 · (9 · (2 - 3)² + (6 - 3)²)) / 4
        assert!((sum.stderr_nats().unwrap() - 1.5).abs() < 1e-12);
    }

    #[test]
    fn a_short_window_does_not_count_as_much_as_a_long_one() {
        // As with a stride: the first window scores all its tokens, the others a few. Means are 4, 5 and 3.
        let mut sum = Perplexity::default();
        sum.add(&[4.0; 100]);
        sum.add(&[5.0; 2]);
        sum.add(&[3.0; 2]);
        // sqrt(3/2 · (4 + 4)) / 104. The means as they are have sqrt(1/3).
        let expected = 12.0_f64.sqrt() / 104.0;
        assert!((sum.stderr_nats().unwrap() - expected).abs() < 1e-12);
        let of_means = sum.window_mean_stderr_nats().unwrap();
        assert!((of_means - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn windows_of_one_length_have_the_error_of_their_mean() {
        let mut sum = Perplexity::default();
        for loss in [1.0, 3.0, 1.0, 3.0] {
            sum.add(&[loss; 5]);
        }
        let stderr = sum.stderr_nats().unwrap();
        assert!((stderr - (1.0_f64 / 3.0).sqrt()).abs() < 1e-12, "{stderr}");
        // Equal windows have no spread, not even by rounding.
        let mut equal = Perplexity::default();
        for _ in 0..7 {
            equal.add(&[0.1, 5.7, 3.3]);
        }
        assert!(!crate::stats::has_spread(equal.stderr_nats().unwrap()));
    }
}
