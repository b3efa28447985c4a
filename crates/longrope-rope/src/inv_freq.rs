//! The frequencies, one function per scaling. Nothing else computes frequencies.
//!
//! Every step goes through [`AnglePrecision::round`], so that the same formula gives the exact f64 frequencies and the f32
//! ones of transformers. For the latter, the order of operations is the same as in transformers.

use std::f64::consts::PI;

use crate::AnglePrecision;

/// The input that all scalings share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base {
    pub(crate) rotary_dim: usize,
    pub(crate) theta: f64,
    pub(crate) original_context: usize,
    pub(crate) precision: AnglePrecision,
}

impl Base {
    /// `θ^(2i/d)` for every pair: the wavelength of pair `i` is `2π` times this.
    fn powers(self, theta: f64) -> impl Iterator<Item = f64> {
        let Self {
            rotary_dim,
            precision,
            ..
        } = self;
        let theta = precision.round(theta);
        (0..rotary_dim / 2).map(move |i| {
            let exponent = precision.round((2 * i) as f64 / rotary_dim as f64);
            precision.round(theta.powf(exponent))
        })
    }

    fn with_theta(self, theta: f64) -> Vec<f64> {
        self.powers(theta)
            .map(|power| self.precision.round(1.0 / power))
            .collect()
    }

    /// `d/(d-2)`: with the base times `s` to this power, the slowest pair slows by exactly `s`.
    fn ntk_exponent(self) -> f64 {
        self.rotary_dim as f64 / (self.rotary_dim as f64 - 2.0)
    }
}

/// Plain RoPE: `θ^(-2i/d)`.
pub(crate) fn plain(base: Base) -> Vec<f64> {
    base.with_theta(base.theta)
}

/// Plain RoPE with another base: `θ'^(-2i/d)`.
pub(crate) fn with_base(base: Base, theta: f64) -> Vec<f64> {
    base.with_theta(theta)
}

/// Position interpolation: `θ^(-2i/d) / s`.
pub(crate) fn linear(base: Base, scale: f64) -> Vec<f64> {
    let round = |value| base.precision.round(value);
    plain(base)
        .into_iter()
        .map(|plain| round(plain / round(scale)))
        .collect()
}

/// The base of NTK-aware RoPE: `θ · s^(d/(d-2))`.
pub(crate) fn ntk_theta(base: Base, scale: f64) -> f64 {
    base.theta * scale.powf(base.ntk_exponent())
}

/// NTK-aware: plain RoPE with the base of [`ntk_theta`].
pub(crate) fn ntk_aware(base: Base, scale: f64) -> Vec<f64> {
    base.with_theta(ntk_theta(base, scale))
}

/// Dynamic NTK for a sequence of `total_tokens`: the base grows with `s·n/L - (s - 1)`, `n = max(total_tokens, L)`.
pub(crate) fn dynamic_ntk(base: Base, scale: f64, total_tokens: usize) -> Vec<f64> {
    if total_tokens <= base.original_context {
        return plain(base);
    }
    // transformers keeps the length in an f32 tensor here, so every step is rounded.
    let round = |value| base.precision.round(value);
    let ratio =
        round(round(round(scale) * round(total_tokens as f64)) / base.original_context as f64);
    let growth = round(ratio - round(scale - 1.0));
    base.with_theta(round(
        round(growth.powf(round(base.ntk_exponent()))) * round(base.theta),
    ))
}

/// YaRN: `θ^(-2i/d) · (ramp_i / s + 1 - ramp_i)`.
pub(crate) fn yarn(base: Base, scale: f64, betas: (f64, f64), truncate: bool) -> Vec<f64> {
    let round = |value| base.precision.round(value);
    let ramp = yarn_ramp(base, betas, truncate);
    base.powers(base.theta)
        .zip(ramp)
        .map(|(power, ramp)| {
            let extrapolated = round(1.0 / power);
            let interpolated = round(1.0 / round(round(scale) * power));
            let kept = round(1.0 - ramp);
            round(round(interpolated * round(1.0 - kept)) + round(extrapolated * kept))
        })
        .collect()
}

/// For each pair a number from 0 (keeps its frequency) to 1 (is interpolated fully).
///
/// `clamp((i - lo) / (hi - lo), 0, 1)` with `lo`, `hi` of [`yarn_bounds`].
pub(crate) fn yarn_ramp(base: Base, betas: (f64, f64), truncate: bool) -> Vec<f64> {
    let round = |value| base.precision.round(value);
    let (low, high) = yarn_bounds(base, betas, truncate);
    let low_in_use = round(low);
    let width = round(high - low);
    (0..base.rotary_dim / 2)
        .map(|i| {
            let above = round(i as f64 - low_in_use);
            round(above / width).clamp(0.0, 1.0)
        })
        .collect()
}

/// The pairs at which YaRN's ramp starts and ends.
///
/// `c(r) = d ln(L / 2πr) / (2 ln θ)` is the pair that turns `r` times within `L` tokens.
pub(crate) fn yarn_bounds(
    base: Base,
    (beta_fast, beta_slow): (f64, f64),
    truncate: bool,
) -> (f64, f64) {
    let Base {
        rotary_dim,
        theta,
        original_context,
        ..
    } = base;
    let pair_turning = |turns: f64| {
        rotary_dim as f64 * (original_context as f64 / (turns * 2.0 * PI)).ln() / (2.0 * theta.ln())
    };
    let (mut low, mut high) = (pair_turning(beta_fast), pair_turning(beta_slow));
    if truncate {
        (low, high) = (low.floor(), high.ceil());
    }
    let (low, high) = (low.max(0.0), high.min(rotary_dim as f64 - 1.0));
    // A ramp of zero width would divide by zero; with a thousandth of a pair it is a step all the same.
    #[expect(clippy::float_cmp, reason = "only the exact coincidence is singular")]
    let high = if low == high { high + 0.001 } else { high };
    (low, high)
}

/// Llama 3.1: full interpolation for pairs with fewer than `low` turns within `L`, none above `high`, a blend between.
pub(crate) fn llama3(base: Base, scale: f64, low: f64, high: f64) -> Vec<f64> {
    let round = |value| base.precision.round(value);
    let context = base.original_context as f64;
    let scale = round(scale);
    plain(base)
        .into_iter()
        .map(|plain| {
            let wavelength = round(round(1.0 / plain) * round(2.0 * PI));
            if wavelength < round(context / high) {
                plain
            } else if wavelength > round(context / low) {
                round(plain / scale)
            } else {
                let turns = round(round(1.0 / wavelength) * context);
                let kept = round(round(turns - round(low)) / round(high - low));
                round(round(round(round(1.0 - kept) * plain) / scale) + round(kept * plain))
            }
        })
        .collect()
}

/// LongRoPE: `1 / (λ_i · θ^(2i/d))`.
pub(crate) fn long_rope(base: Base, factors: &[f64]) -> Vec<f64> {
    let round = |value| base.precision.round(value);
    base.powers(base.theta)
        .zip(factors)
        .map(|(power, factor)| round(1.0 / round(round(*factor) * power)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLOSE: f64 = 1e-14;

    fn base(rotary_dim: usize, theta: f64, original_context: usize) -> Base {
        Base {
            rotary_dim,
            theta,
            original_context,
            precision: AnglePrecision::F64,
        }
    }

    fn assert_close(found: &[f64], expected: &[f64]) {
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found / expected - 1.0).abs() < CLOSE,
                "{found} instead of {expected}"
            );
        }
    }

    #[test]
    fn plain_frequencies_are_powers_of_theta() {
        assert_close(&plain(base(8, 10_000.0, 256)), &[1.0, 0.1, 0.01, 0.001]);
    }

    #[test]
    fn linear_divides_by_the_scale() {
        assert_close(
            &linear(base(8, 10_000.0, 256), 4.0),
            &[0.25, 0.025, 0.0025, 0.000_25],
        );
    }

    #[test]
    fn ntk_keeps_the_fastest_pair_and_slows_the_slowest_by_the_scale() {
        let found = ntk_aware(base(8, 10_000.0, 256), 8.0);
        assert_close(&found, &[1.0, 0.1 / 2.0, 0.01 / 4.0, 0.001 / 8.0]);
    }

    #[test]
    fn dynamic_ntk_starts_at_plain_and_grows_with_the_sequence() {
        let base = base(8, 10_000.0, 256);
        assert_eq!(dynamic_ntk(base, 4.0, 100), plain(base));
        assert_eq!(dynamic_ntk(base, 4.0, 256), plain(base));
        // 4 * 2 - 3 = 5
        assert_close(&dynamic_ntk(base, 4.0, 512), &ntk_aware(base, 5.0));
    }

    #[test]
    fn yarn_of_llama2_blends_pairs_20_to_46() {
        assert_eq!(
            yarn_bounds(base(128, 10_000.0, 4096), (32.0, 1.0), true),
            (20.0, 46.0)
        );
        let (low, high) = yarn_bounds(base(128, 10_000.0, 4096), (32.0, 1.0), false);
        assert!(low > 20.0 && low < 21.0 && high > 45.0 && high < 46.0);
    }

    #[test]
    fn yarn_of_a_tiny_window_stays_within_the_pairs() {
        // c(1) of 4 tokens is negative: both ends are clamped and the ramp becomes a step at pair 0.
        let found = yarn(base(8, 10_000.0, 4), 2.0, (32.0, 1.0), true);
        assert!(
            found
                .iter()
                .all(|frequency| frequency.is_finite() && *frequency > 0.0)
        );
        assert_close(&found, &[1.0, 0.05, 0.005, 0.000_5]);
    }

    #[test]
    fn llama3_leaves_fast_pairs_and_slows_slow_ones() {
        let found = llama3(base(8, 10_000.0, 512), 8.0, 1.0, 4.0);
        let wavelengths: Vec<f64> = plain(base(8, 10_000.0, 512))
            .iter()
            .map(|f| 2.0 * PI / f)
            .collect();
        assert!(wavelengths[1] < 128.0 && wavelengths[2] > 512.0);
        assert_close(&found, &[1.0, 0.1, 0.01 / 8.0, 0.001 / 8.0]);
    }

    #[test]
    fn llama3_blends_by_turns() {
        // 2π / 0.01 = 628.3 tokens; 1600 tokens are 2.546 turns; (2.546 - 1) / 3 is kept.
        let kept = (1600.0 * 0.01 / (2.0 * PI) - 1.0) / 3.0;
        let found = llama3(base(8, 10_000.0, 1600), 8.0, 1.0, 4.0);
        assert_close(&found[2..3], &[0.01 * ((1.0 - kept) / 8.0 + kept)]);
    }

    #[test]
    fn long_rope_divides_by_the_factors() {
        let found = long_rope(base(8, 10_000.0, 256), &[1.0, 2.0, 4.0, 8.0]);
        assert_close(&found, &[1.0, 0.05, 0.0025, 0.000_125]);
    }

    #[test]
    fn compat_rounds_every_step_to_f32() {
        let exact = plain(base(96, 10_000.0, 256));
        let compat = plain(Base {
            precision: AnglePrecision::CompatF32,
            ..base(96, 10_000.0, 256)
        });
        for (exact, compat) in exact.iter().zip(&compat) {
            assert_eq!(*compat, AnglePrecision::CompatF32.round(*compat));
            assert!((compat / exact - 1.0).abs() < 1e-6);
        }
    }
}
