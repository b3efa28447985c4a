//! Numbers that are not finite, which JSON cannot express.

use serde::{Deserialize, Deserializer};

/// What a missing number is read as.
pub(super) fn not_a_number() -> f64 {
    f64::NAN
}

/// Whether a number is left out of JSON, which has no NaN.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
pub(super) fn is_not_finite(number: &f64) -> bool {
    !number.is_finite()
}

/// A number, NaN for the `null` of older files.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
