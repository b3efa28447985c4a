//! Losses in JSON: a number, or `null` for the infinite loss of a candidate that could not be measured.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a finite loss as a number and any other as `null`.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
pub(crate) fn serialize<S: Serializer>(loss: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    loss.is_finite().then_some(*loss).serialize(serializer)
}

/// Reads what [`serialize`] writes.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Line {
        #[serde(with = "super")]
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
            r#"{"loss":null}"#
        );
    }
}
