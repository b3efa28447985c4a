//! The maximum size of a weight file.

use std::str::FromStr;

use crate::error::Error;

/// Maximum size of the tensors in one weight file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardSize(u64);

/// Units and their sizes in bytes: two-letter units are powers of 1000, three-letter units powers of 1024.
const UNITS: [(&str, u64); 9] = [
    ("", 1),
    ("kb", 1_000),
    ("mb", 1_000_000),
    ("gb", 1_000_000_000),
    ("tb", 1_000_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
    ("tib", 1 << 40),
];

impl ShardSize {
    /// 5 GB, the default of transformers 4.
    pub const DEFAULT: Self = Self(5_000_000_000);

    /// The size in bytes.
    pub fn n_bytes(self) -> u64 {
        self.0
    }
}

impl FromStr for ShardSize {
    type Err = Error;

    /// Parses a number of bytes with an optional unit: `5GB`, `500 MB`, `2GiB`, `1000000`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(trimmed.len());
        let (number, word) = trimmed.split_at(end);
        let word = word.trim_start().to_ascii_lowercase();
        let unit = UNITS.iter().find(|unit| unit.0 == word);
        let size = number
            .parse::<u64>()
            .ok()
            .zip(unit)
            .and_then(|(number, unit)| number.checked_mul(unit.1))
            .filter(|size| *size > 0);
        size.map(Self).ok_or_else(|| Error::ShardSize {
            text: text.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_decimal_or_binary() {
        for (text, n_bytes) in [
            ("5GB", 5_000_000_000),
            ("500 MB", 500_000_000),
            ("2GiB", 2 << 30),
            ("64kib", 64 << 10),
            ("1TB", 1_000_000_000_000),
            (" 123 ", 123),
        ] {
            let size: ShardSize = text.parse().unwrap();
            assert_eq!(size.n_bytes(), n_bytes, "{text}");
        }
        assert_eq!("5GB".parse::<ShardSize>().unwrap(), ShardSize::DEFAULT);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "", "GB", "0", "0GB", "-1GB", "1.5GB", "5G", "5XB", "5GB6", "5µB",
        ] {
            let error = text.parse::<ShardSize>().unwrap_err();
            assert!(matches!(error, Error::ShardSize { text: t } if t == text));
        }
        assert!("18446744TB".parse::<ShardSize>().is_ok());
        assert!("18446745TB".parse::<ShardSize>().is_err());
    }
}
