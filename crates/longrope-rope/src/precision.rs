//! The floating-point arithmetic of angles.

use serde::{Deserialize, Serialize};

/// The arithmetic of frequencies and angles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum AnglePrecision {
    /// Everything in f64, one cast to f32 at the very end.
    #[default]
    F64,
    /// Every step rounded to f32, as in transformers; for comparisons only. The rounding changes angles by about
    /// 1e-2 rad at position 131,071 and 1e-1 rad at 2 million.
    CompatF32,
}

impl AnglePrecision {
    /// `value` rounded to this arithmetic.
    ///
    /// Rounding an f64 result of two f32 numbers gives exactly what f32 arithmetic gives for `+ - * /`, because f64 has
    /// more than twice the digits. So one formula serves both precisions.
    pub(crate) fn round(self, value: f64) -> f64 {
        match self {
            Self::F64 => value,
            Self::CompatF32 => f64::from(to_f32(value)),
        }
    }
}

/// The nearest f32.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to f32 is the purpose"
)]
pub(crate) fn to_f32(value: f64) -> f32 {
    value as f32
}
