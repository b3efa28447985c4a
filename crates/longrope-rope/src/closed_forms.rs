//! Rescale factors in closed form: interpolation methods expressed as factors. A search starts from them.

use crate::inv_freq::{Base, yarn_bounds, yarn_ramp};
use crate::precision::AnglePrecision;

/// Which pairs YaRN interpolates: a ramp from the fast pairs, which stay as they are, to the slow ones.
///
/// A pair with more than `beta_fast` turns within the original context keeps its frequency, one with fewer than
/// `beta_slow` turns is interpolated fully.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct YarnRamp {
    /// Rotated dimensions of a head, `d`; even.
    pub rotary_dim: usize,
    /// Base of the frequencies, `θ`.
    pub theta: f64,
    /// Context the model was trained for, `L`, in tokens.
    pub original_context: usize,
    /// Turns above which a pair keeps its frequency; 32 for LLaMA models.
    pub beta_fast: f64,
    /// Turns below which a pair is interpolated fully; 1 for LLaMA models.
    pub beta_slow: f64,
}

impl YarnRamp {
    /// `1 - m_i` for every pair: 0 for pairs that keep their frequency, 1 for pairs that are interpolated fully.
    fn values(self) -> Vec<f64> {
        yarn_ramp(self.base(), (self.beta_fast, self.beta_slow), true)
    }

    /// The length of the ramp, in pairs.
    fn width(self) -> f64 {
        let (low, high) = yarn_bounds(self.base(), (self.beta_fast, self.beta_slow), true);
        high - low
    }

    fn base(self) -> Base {
        Base {
            rotary_dim: self.rotary_dim,
            theta: self.theta,
            original_context: self.original_context,
            precision: AnglePrecision::F64,
        }
    }
}

/// Position interpolation: `λ_i = s` for every pair.
pub fn pi_factors(n_pairs: usize, scale: f64) -> Vec<f64> {
    vec![scale; n_pairs]
}

/// NTK-aware interpolation: `λ_i = s^(2i / (d - 2))`, from 1 for the fastest pair to `s` for the slowest.
pub fn ntk_factors(n_pairs: usize, scale: f64) -> Vec<f64> {
    // d - 2 is 2 (n_pairs - 1). A single pair stays at 1.
    let last = n_pairs.saturating_sub(1).max(1) as f64;
    (0..n_pairs).map(|i| scale.powf(i as f64 / last)).collect()
}

/// YaRN's interpolation by parts: `λ_i = 1 / ((1 - m_i) / s + m_i)`.
///
/// `m_i = 1 - clamp((i - lo) / (hi - lo), 0, 1)`, where `lo` and `hi` are the pairs that turn `beta_fast` and
/// `beta_slow` times within the original context, rounded outwards: `c(r) = d ln(L / 2πr) / (2 ln θ)`.
///
/// # Reference
/// YaRN (arXiv 2309.00071), section 3.2; the rounding and the clamps are those of transformers.
pub fn yarn_factors(ramp: YarnRamp, scale: f64) -> Vec<f64> {
    let values = ramp.values();
    values
        .iter()
        .map(|ramp| 1.0 / (ramp / scale + (1.0 - ramp)))
        .collect()
}

/// YaRN's ramp, but linear in the factor: `λ_i = s (1 - m_i) + m_i` with the `m_i` of [`yarn_factors`].
///
/// # Reference
/// The code released with LongRoPE (github.com/microsoft/LongRoPE) starts its search here and calls it YaRN.
pub fn linear_ramp_factors(ramp: YarnRamp, scale: f64) -> Vec<f64> {
    let values = ramp.values();
    values
        .iter()
        .map(|ramp| scale * ramp + (1.0 - ramp))
        .collect()
}

/// MrRoPE-Uni: the factor grows by the same ratio from pair to pair of YaRN's ramp, `λ_i = s^(t/n)`.
///
/// `t = clamp(i - lo, 0, n)` and `n = hi - lo`, with the `lo` and `hi` of [`yarn_factors`]. The released code calls it
/// YaRN-radix.
///
/// # Reference
/// MrRoPE (arXiv 2601.22181), equations 13 to 16; github.com/mattian7/mrRoPE, `LlamaYaRNRadix.py`.
pub fn mrrope_uni_factors(ramp: YarnRamp, scale: f64) -> Vec<f64> {
    let values = ramp.values();
    values.iter().map(|share| scale.powf(*share)).collect()
}

/// MrRoPE-Pro: the ratio from pair to pair grows along YaRN's ramp, `λ_i = s^(t(t+1)/(n(n+1)))`.
///
/// The ratio between pairs `t-1` and `t` is `s^(2t/(n(n+1)))`. `t` and `n` are those of [`mrrope_uni_factors`].
///
/// # Reference
/// MrRoPE (arXiv 2601.22181), equations 13 to 16; the one that the paper recommends.
pub fn mrrope_pro_factors(ramp: YarnRamp, scale: f64) -> Vec<f64> {
    let n = ramp.width();
    let exponent = |share: f64| {
        let t = share * n;
        t * (t + 1.0) / (n * (n + 1.0))
    };
    let values = ramp.values();
    let factors = values.iter().map(|share| scale.powf(exponent(*share)));
    factors.collect()
}

/// The pair whose period fits `periods` times into the original context, rounded up: `(d/2) log_θ(L / 2πn)`.
///
/// With one period this is the theoretical critical pair: from this pair on, the model has not seen a whole turn in training.
///
/// # Reference
/// LongRoPE2 (arXiv 2502.20082), section 3.1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the number of pairs"
)]
pub fn pair_of_period(
    rotary_dim: usize,
    theta: f64,
    original_context: usize,
    periods: f64,
) -> usize {
    let n_pairs = rotary_dim / 2;
    let turns = original_context as f64 / (std::f64::consts::TAU * periods);
    let pair = n_pairs as f64 * turns.ln() / theta.ln();
    pair.ceil().clamp(0.0, n_pairs as f64) as usize
}

/// Factors around a critical pair `c`: 1 up to pair `u`, `λ_i = λ_c^((i-u)/(c-u))` from there to `c`, and `λ_c` beyond.
///
/// `u = 0` gives the factors of LongRoPE2. Below the critical pair they amount to RoPE with a larger base,
/// `θ · λ_c^((d/2)/c)`. A larger `u` leaves the fastest pairs as they were trained, as YaRN does.
///
/// # Reference
/// LongRoPE2 (arXiv 2502.20082), algorithm 1: the NTK part of every candidate. A `u` above 0 is an addition of this crate.
pub fn critical_ntk_factors(
    n_pairs: usize,
    unscaled: usize,
    critical: usize,
    factor_at_critical: f64,
) -> Vec<f64> {
    let factor = |i: usize| match i {
        i if i >= critical => factor_at_critical,
        i if i <= unscaled => 1.0,
        i => factor_at_critical.powf((i - unscaled) as f64 / (critical - unscaled) as f64),
    };
    (0..n_pairs).map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: f64 = 1e-12;

    const LLAMA2: YarnRamp = YarnRamp {
        rotary_dim: 128,
        theta: 1e4,
        original_context: 4096,
        beta_fast: 32.0,
        beta_slow: 1.0,
    };

    #[test]
    fn the_linear_ramp_is_straight_between_yarns_borders() {
        // LLaMA2: the ramp goes from pair 20 to pair 46.
        let factors = linear_ramp_factors(LLAMA2, 32.0);
        assert!((factors[20] - 1.0).abs() < CLOSE && (factors[46] - 32.0).abs() < CLOSE);
        assert!((factors[33] - 16.5).abs() < CLOSE);
    }

    #[test]
    fn critical_pairs_are_those_of_the_paper() {
        // Phi3-mini, LLaMA3-8B, LLaMA2; then where ten periods fit.
        let pair = |d, theta, context, periods| pair_of_period(d, theta, context, periods);
        assert_eq!(pair(96, 1e4, 2048, 1.0), 31);
        assert_eq!(pair(128, 5e5, 8192, 1.0), 35);
        assert_eq!(pair(128, 1e4, 4096, 1.0), 46);
        assert_eq!(pair(96, 1e4, 2048, 10.0), 19);
        assert_eq!(pair(128, 5e5, 8192, 10.0), 24);
    }

    #[test]
    fn ntk_goes_from_one_to_the_scale() {
        let factors = ntk_factors(3, 16.0);
        for (found, expected) in factors.iter().zip([1.0, 4.0, 16.0]) {
            assert!((found - expected).abs() < CLOSE);
        }
        assert_eq!(ntk_factors(1, 16.0), [1.0]);
        assert!(ntk_factors(0, 16.0).is_empty());
    }

    #[test]
    fn pi_is_the_scale_everywhere() {
        assert_eq!(pi_factors(3, 8.0), [8.0, 8.0, 8.0]);
    }

    #[test]
    fn yarn_leaves_fast_pairs_and_interpolates_slow_ones() {
        let factors = yarn_factors(LLAMA2, 32.0);
        assert!(factors[..=20].iter().all(|factor| *factor == 1.0));
        assert!(
            factors[46..]
                .iter()
                .all(|factor| (*factor - 32.0).abs() < CLOSE)
        );
        // Halfway between lo = 20 and hi = 46: 1 / (0.5/32 + 0.5).
        assert!((factors[33] - 1.0 / 0.515_625).abs() < CLOSE);
        assert!(factors.windows(2).all(|pair| pair[0] <= pair[1]));
    }

    #[test]
    fn the_radix_grows_evenly_or_progressively_along_yarns_ramp() {
        // LLaMA2: the ramp goes from pair 20 to pair 46, n = 26.
        let (uni, pro) = (
            mrrope_uni_factors(LLAMA2, 10.0),
            mrrope_pro_factors(LLAMA2, 10.0),
        );
        for factors in [&uni, &pro] {
            assert!(factors[..=20].iter().all(|factor| *factor == 1.0));
            assert!(
                factors[46..]
                    .iter()
                    .all(|factor| (*factor - 10.0).abs() < CLOSE)
            );
        }
        // Half of the ramp: 10^(13/26), and 10^(13·14 / (26·27)).
        assert!((uni[33] - 10.0_f64.sqrt()).abs() < CLOSE);
        assert!((pro[33] - 10.0_f64.powf(182.0 / 702.0)).abs() < CLOSE);
        let ratios = |factors: &[f64]| -> Vec<f64> {
            factors[20..=46]
                .windows(2)
                .map(|pair| pair[1] / pair[0])
                .collect()
        };
        let even = 10.0_f64.powf(1.0 / 26.0);
        assert!(
            ratios(&uni)
                .iter()
                .all(|ratio| (ratio - even).abs() < CLOSE)
        );
        assert!(ratios(&pro).windows(2).all(|pair| pair[0] < pair[1]));
        // YaRN is regressive: its ratios fall.
        let yarn = yarn_factors(LLAMA2, 10.0);
        assert!(pro[40] < uni[40] && uni[40] > yarn[40]);
    }

    #[test]
    fn a_ramp_of_no_width_is_a_step() {
        let tiny = YarnRamp {
            rotary_dim: 8,
            original_context: 4,
            ..LLAMA2
        };
        for factors in [mrrope_uni_factors(tiny, 2.0), mrrope_pro_factors(tiny, 2.0)] {
            for (found, expected) in factors.iter().zip([1.0, 2.0, 2.0, 2.0]) {
                assert!((found - expected).abs() < CLOSE, "{factors:?}");
            }
        }
    }

    #[test]
    fn critical_factors_meet_at_the_critical_pair() {
        let factors = critical_ntk_factors(4, 0, 2, 9.0);
        for (found, expected) in factors.iter().zip([1.0, 3.0, 9.0, 9.0]) {
            assert!((found - expected).abs() < CLOSE);
        }
        assert_eq!(critical_ntk_factors(2, 0, 0, 9.0), [9.0, 9.0]);
        assert_eq!(critical_ntk_factors(4, 2, 2, 9.0), [1.0, 1.0, 9.0, 9.0]);
        let late = critical_ntk_factors(6, 2, 4, 9.0);
        for (found, expected) in late.iter().zip([1.0, 1.0, 1.0, 3.0, 9.0, 9.0]) {
            assert!((found - expected).abs() < CLOSE);
        }
    }

    #[test]
    fn critical_factors_are_a_larger_base() {
        let (n_pairs, critical, factor, theta) = (64, 33, 21.81_f64, 500_000.0_f64);
        let base = theta * factor.powf(n_pairs as f64 / critical as f64);
        for (i, lambda) in critical_ntk_factors(n_pairs, 0, critical, factor)
            .iter()
            .enumerate()
            .take(critical)
        {
            let exponent = i as f64 / n_pairs as f64;
            let by_factor = lambda * theta.powf(exponent);
            assert!((by_factor / base.powf(exponent) - 1.0).abs() < CLOSE);
        }
    }
}
