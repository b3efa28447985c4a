//! Powers of 2 and of e, whose loops the compiler vectorizes.

use super::lanes::fma;

/// Adding 1.5 · 2^23 rounds to the nearest integer and leaves it in the low mantissa bits.
const ROUND: f32 = 12_582_912.0;

/// `2^x` with an error of about two units in the last place, for `x <= 127`. Below -126, where normal numbers end, the
/// result is 2^-126. NaN stays NaN.
///
/// `x = n + r` with `|r| <= 1/2`. `2^r` is the minimax polynomial of degree 5 (largest relative error 9e-8), and `2^n`
/// is computed by adding `n` to the exponent bits.
#[inline(always)]
pub(super) fn exp2<const FMA: bool>(x: f32) -> f32 {
    #[expect(
        clippy::approx_constant,
        reason = "a minimax coefficient, close to ln 2 but not equal"
    )]
    const FIRST: f32 = 0.693_147;
    // In this order, NaN is kept.
    let x = if x < -126.0 { -126.0 } else { x };
    let shifted = x + ROUND;
    let r = x - (shifted - ROUND);
    let p = fma::<FMA>(0.001_326_472_7, r, 0.009_671_513);
    let p = fma::<FMA>(p, r, 0.055_507_336);
    let p = fma::<FMA>(p, r, 0.240_222_42);
    let p = fma::<FMA>(p, r, FIRST);
    let p = fma::<FMA>(p, r, 1.0);
    let power = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    // The bits of NaN are not to be added to.
    if x.is_nan() { x } else { power }
}

/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`, as `n +` [`ROUND`] and `r`.
#[inline(always)]
pub(in crate::flex) fn split<const FMA: bool>(x: f32) -> (f32, f32) {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let shifted = fma::<FMA>(x, std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    let r = fma::<FMA>(-n, LN2_LOW, fma::<FMA>(-n, LN2_HIGH, x));
    (shifted, r)
}

/// `e^r - 1` as a Taylor polynomial: `r + r²/2 + … + r⁵/120 + last · r⁶`.
#[inline(always)]
pub(in crate::flex) fn power_series<const FMA: bool>(last: f32, r: f32) -> f32 {
    let p = fma::<FMA>(last, r, 1.0 / 120.0);
    let p = fma::<FMA>(p, r, 1.0 / 24.0);
    let p = fma::<FMA>(p, r, 1.0 / 6.0);
    let p = fma::<FMA>(p, r, 0.5);
    fma::<FMA>(p * r, r, r)
}

/// `e^x` with an error of about two units in the last place; 0 below -87, where normal `f32` numbers end. NaN stays
/// NaN.
///
/// `x = n ln 2 + r` with `|r| <= ln 2 / 2`. `e^r` is the Taylor polynomial of degree 6, and `2^n` is computed by adding
/// `n` to the exponent bits.
#[inline(always)]
pub(super) fn exp<const FMA: bool>(x: f32) -> f32 {
    let (shifted, r) = split::<FMA>(x.clamp(-87.0, 88.0));
    let p = power_series::<FMA>(1.0 / 720.0, r) + 1.0;
    let power = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
    if x < -87.0 {
        0.0
    } else if x.is_nan() {
        x
    } else {
        power
    }
}
