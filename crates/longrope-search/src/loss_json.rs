//! Losses in JSON: a number, or no field for the infinite loss of a candidate that could not be measured.
//!
//! JSON has no infinity. Fields of this kind also have `default` and `skip_serializing_if`, with the functions below.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a finite loss as a number.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
pub(crate) fn serialize<S: Serializer>(loss: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    loss.is_finite().then_some(*loss).serialize(serializer)
}

/// Reads a number, or the `null` that version 0.1 wrote for an infinite loss.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

/// The loss of a candidate that could not be measured.
pub(crate) fn not_measured() -> f64 {
    f64::INFINITY
}

/// Whether a loss is left out of JSON.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
pub(crate) fn is_not_finite(loss: &f64) -> bool {
    !loss.is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Line {
        #[serde(
            with = "super",
            default = "super::not_measured",
            skip_serializing_if = "super::is_not_finite"
        )]
        loss: f64,
    }

    #[test]
    fn losses_come_back_bit_for_bit() {
        for loss in [
            0.1 + 0.2,
            2.0 / 3.0,
            5e-324,
            1.797_693_134_862_315_7e308,
            -0.0,
            f64::INFINITY,
        ] {
            let json = serde_json::to_string(&Line { loss }).expect("plain data");
            let line: Line = serde_json::from_str(&json).expect("own output");
            assert_eq!(line.loss.to_bits(), loss.to_bits(), "{json}");
        }
        assert_eq!(
            serde_json::to_string(&Line {
                loss: f64::INFINITY
            })
            .expect("plain data"),
            "{}"
        );
        let old: Line = serde_json::from_str(r#"{"loss":null}"#).expect("version 0.1");
        assert!(old.loss.is_infinite());
    }
}
