//! The soft cap of scores and logits, `c · tanh(s / c)`, and its slope, `1 - tanh²(s / c)`.
#![expect(
    clippy::inline_always,
    reason = "a loop with a call inside is not vectorized"
)]

use multiversion::multiversion;
use multiversion::target::target_cfg_f;

use super::simd::{fma, power_series, split};

/// A soft cap, for scores of any unit.
#[derive(Clone, Copy)]
pub(super) struct Cap {
    limit: f32,
    inverse: f32,
}

impl Cap {
    /// The soft cap of scores that are multiplied by `unit`.
    pub(super) fn new(softcap: f64, unit: f64) -> Self {
        let limit = softcap * unit;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the kernels compute in f32"
        )]
        let (limit, inverse) = (limit as f32, (1.0 / limit) as f32);
        Self { limit, inverse }
    }

    /// Caps every element.
    pub(super) fn apply(self, row: &mut [f32]) {
        cap_in_place(row, self.limit, self.inverse);
    }

    /// Caps every element, and writes the slope of the cap at each to `slopes`.
    pub(super) fn apply_with_slopes(self, row: &mut [f32], slopes: &mut [f32]) {
        cap_with_slopes(row, slopes, self.limit, self.inverse);
    }
}

/// `tanh(x)` and `1 - tanh²(x)`, both with a relative error of a few units in the last place. NaN stays NaN.
///
/// With `m = e^(2|x|) - 1`: `tanh |x| = m / (m + 2)` and `1 - tanh² x = 4 (m + 1) / (m + 2)²`, both without cancellation.
/// `m = 2^n (e^r - 1) + (2^n - 1)`, with `n` and `r` as in [`super::simd`]'s exponential. From `|x| = 20` on, where
/// `tanh` is 1, the slope stays at 2e-17.
#[inline(always)]
fn tanh_and_slope<const FMA: bool>(x: f32) -> (f32, f32) {
    let twice = 2.0 * x.abs();
    // In this order, NaN is kept.
    let twice = if twice > 40.0 { 40.0 } else { twice };
    let (shifted, r) = split::<FMA>(twice);
    let rest = power_series::<FMA>(fma::<FMA>(1.0 / 5040.0, r, 1.0 / 720.0), r);
    let power = f32::from_bits(1f32.to_bits().wrapping_add(shifted.to_bits() << 23));
    let m = fma::<FMA>(power, rest, power - 1.0);
    let inverse = 1.0 / (m + 2.0);
    let slope = 4.0 * (m + 1.0) * inverse * inverse;
    ((m * inverse).copysign(x), slope)
}

/// Replaces each `x` by `limit · tanh(x · inverse)`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn cap_in_place(row: &mut [f32], limit: f32, inverse: f32) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    for x in row {
        *x = limit * tanh_and_slope::<FMA>(*x * inverse).0;
    }
}

/// Replaces each `x` by `limit · tanh(x · inverse)`, and writes `1 - tanh²(x · inverse)` to `slopes`.
#[multiversion(targets("x86_64+avx512f+avx512vl+fma", "x86_64+avx2+fma"))]
fn cap_with_slopes(row: &mut [f32], slopes: &mut [f32], limit: f32, inverse: f32) {
    const FMA: bool = target_cfg_f!(target_feature = "fma");
    for (x, slope) in row.iter_mut().zip(slopes) {
        let (tanh, slope_of_x) = tanh_and_slope::<FMA>(*x * inverse);
        *x = limit * tanh;
        *slope = slope_of_x;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tanh_and_its_slope_are_exact_to_a_few_units_in_the_last_place() {
        for i in 1..=60_000 {
            // Steps that grow from 1e-6 to 18: small numbers count as much as large ones.
            let x = 1e-6f32 * (f32::ln(1.8e7) * i as f32 / 60_000.0).exp();
            let exact = f64::from(x).tanh();
            let exact_slope = f64::from(x).cosh().powi(-2);
            for (tanh, slope) in [tanh_and_slope::<true>(x), tanh_and_slope::<false>(x)] {
                // Four units in the last place are 4.8e-7.
                let off = (f64::from(tanh) - exact).abs() / exact;
                assert!(off < 3e-7, "tanh({x}) is off by {off:e}");
                let off = (f64::from(slope) - exact_slope).abs() / exact_slope;
                assert!(off < 6e-7, "the slope at {x} is off by {off:e}");
                let (negative, same) = tanh_and_slope::<true>(-x);
                assert!(negative < 0.0 && same > 0.0);
            }
        }
    }

    #[test]
    fn the_ends_of_the_numbers_are_capped_and_nan_stays() {
        let cap = Cap::new(50.0, 2.0);
        for n in [1, 7, 40] {
            let mut row = vec![f32::INFINITY; n];
            let mut slopes = vec![f32::NAN; n];
            row[n / 2] = f32::NEG_INFINITY;
            cap.apply_with_slopes(&mut row, &mut slopes);
            assert!(row.iter().all(|x| x.abs().total_cmp(&100.0).is_eq()));
            assert!(slopes.iter().all(|slope| (0.0..1e-15).contains(slope)));
            for bits in [0x7fc0_0000, 0x7fff_ffff, 0xffff_ffff, 0xffc0_00ff] {
                let mut row = vec![1.0; n];
                row[n / 2] = f32::from_bits(bits);
                cap.apply(&mut row);
                assert!(row[n / 2].is_nan(), "{bits:x}");
                assert_eq!(row.iter().filter(|x| x.is_nan()).count(), 1);
            }
        }
        let mut zeros = [0.0, -0.0];
        cap.apply(&mut zeros);
        assert_eq!(zeros.map(f32::to_bits), [0.0f32, -0.0].map(f32::to_bits));
    }
}
