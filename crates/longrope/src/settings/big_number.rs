//! Numbers above the largest whole number of TOML, 2^63 - 1: in files they are texts of digits.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserializer, Serializer};
use toml::Value;

/// A number as a value of a configuration.
pub(crate) fn value(number: u64) -> Value {
    match i64::try_from(number) {
        Ok(number) => Value::Integer(number),
        Err(_) => Value::String(number.to_string()),
    }
}

/// For `#[serde(with = "..")]`: writes a `u64` as a number or, if it is too large, as a text.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
pub(crate) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    match i64::try_from(*number) {
        Ok(number) => serializer.serialize_i64(number),
        Err(_) => serializer.serialize_str(&number.to_string()),
    }
}

/// Reads what [`serialize`] writes.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    deserializer.deserialize_any(NumberOrText)
}

struct NumberOrText;

impl Visitor<'_> for NumberOrText {
    type Value = u64;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("u64")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<u64, E> {
        u64::try_from(number).map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<u64, E> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if is_number => Ok(number),
            _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::settings::config::Config;

    #[test]
    fn large_seeds_are_written_as_text_and_read_back() {
        for (seed, written) in [
            (u64::MAX, "seed = \"18446744073709551615\""),
            (7, "seed = 7"),
        ] {
            let config = Config {
                seed,
                ..Config::default()
            };
            let text = config.to_toml().unwrap();
            assert!(text.contains(written), "{text}");
            assert_eq!(toml::from_str::<Config>(&text).unwrap().seed, seed);
        }
        for wrong in [
            "-1",
            "'-1'",
            "'first'",
            "''",
            "1.5",
            "'18446744073709551616'",
        ] {
            let read = toml::from_str::<Config>(&format!("seed = {wrong}"));
            assert!(read.is_err(), "{wrong}");
        }
    }
}
