//! Damages inputs at random: bytes, stretches, and the values of JSON.

use std::ops::Range;

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

/// Values that readers tend not to expect, as they stand in JSON.
const VALUES: [&str; 24] = [
    "0",
    "-1",
    "1",
    "0.5",
    "1e400",
    "-1e308",
    "1e-320",
    "NaN",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1000000",
    "null",
    "true",
    "false",
    "[]",
    "{}",
    "\"\"",
    "\"20\"",
    "\"\\u001b[31m\"",
    "[[[[[[[[1]]]]]]]]",
    "\"\\u0000\"",
];

/// Makes damaged inputs out of sound ones.
pub(crate) struct Mutator {
    rng: ChaCha8Rng,
    /// Whether the first byte chooses a kind of file, which stays.
    keeps_first: bool,
}

impl Mutator {
    pub(crate) fn new(rng: ChaCha8Rng, keeps_first: bool) -> Self {
        Self { rng, keeps_first }
    }

    /// A damaged copy of `seed`.
    pub(crate) fn mutate(&mut self, seed: &[u8]) -> Vec<u8> {
        let (first, content) = seed.split_at(usize::from(self.keeps_first));
        let mut content = content.to_vec();
        for _ in 0..self.rng.random_range(1..=3) {
            self.damage(&mut content);
        }
        [first, &content].concat()
    }

    fn damage(&mut self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let values = values(bytes);
        if !values.is_empty() && self.rng.random_ratio(2, 3) {
            let value = values[self.rng.random_range(0..values.len())].clone();
            let other = match self.rng.random_range(0..8) {
                0 => {
                    let other = values[self.rng.random_range(0..values.len())].clone();
                    bytes[other].to_vec()
                }
                1 => Vec::new(),
                _ => VALUES[self.rng.random_range(0..VALUES.len())]
                    .as_bytes()
                    .to_vec(),
            };
            bytes.splice(value, other);
            return;
        }
        let at = self.rng.random_range(0..bytes.len());
        let end = (at + self.rng.random_range(1..40)).min(bytes.len());
        match self.rng.random_range(0..6) {
            0 => bytes[at] ^= 1 << self.rng.random_range(0..8),
            1 => bytes[at] = self.rng.next_u32().to_le_bytes()[0],
            2 => drop(bytes.drain(at..end)),
            3 => {
                let again = bytes[at..end].to_vec();
                bytes.splice(at..at, again);
            }
            4 => bytes.truncate(at),
            _ => bytes.insert(at, [0, 0xff, b'"', b'{', b','][self.rng.random_range(0..5)]),
        }
    }
}

/// Where strings, numbers and words stand in a text that looks like JSON; at most the first 64 KiB are looked at.
fn values(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    let end = bytes.len().min(1 << 16);
    while at < end {
        let start = at;
        match bytes[at] {
            b'"' => {
                at += 1;
                while at < end && bytes[at] != b'"' {
                    at += 1 + usize::from(bytes[at] == b'\\');
                }
                at = (at + 1).min(end);
                found.push(start..at);
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'-' => {
                while at < end && (bytes[at].is_ascii_alphanumeric() || b"+-.".contains(&bytes[at]))
                {
                    at += 1;
                }
                found.push(start..at);
            }
            _ => at += 1,
        }
    }
    found
}
