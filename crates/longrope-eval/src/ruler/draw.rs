//! Random draws that several tasks share.

use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::vocabulary::{ADJECTIVES, NOUNS};

/// `k` of the numbers below `n`, each at most once, in random order.
pub(super) fn some_of(n: usize, k: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    let (chosen, _) = all.partial_shuffle(rng, k.min(n));
    chosen.to_vec()
}

/// A number of seven digits.
pub(super) fn number(rng: &mut ChaCha8Rng) -> String {
    rng.random_range(1_000_000..=9_999_999).to_string()
}

/// A word pair such as `quiet-harbor`.
pub(super) fn word(rng: &mut ChaCha8Rng) -> String {
    let adjective = ADJECTIVES[rng.random_range(0..ADJECTIVES.len())];
    let noun = NOUNS[rng.random_range(0..NOUNS.len())];
    format!("{adjective}-{noun}")
}

/// A random UUID (version 4, variant of RFC 9562) in its usual spelling.
pub(super) fn uuid(rng: &mut ChaCha8Rng) -> String {
    let bits: u128 = rng.random();
    let version = 0xF_u128 << 76;
    let variant = 0b11_u128 << 62;
    let bits = (bits & !version & !variant) | (4 << 76) | (0b10 << 62);
    let hex = format!("{bits:032x}");
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// `n` random letters out of the 26 from `first` on.
pub(super) fn letters(n: usize, first: u8, rng: &mut ChaCha8Rng) -> String {
    (0..n)
        .map(|_| char::from(first + rng.random_range(0..26_u8)))
        .collect()
}

/// `n` different words of letters.
pub(super) fn distinct(n: usize, length: usize, first: u8, rng: &mut ChaCha8Rng) -> Vec<String> {
    let mut words: Vec<String> = Vec::with_capacity(n);
    let mut known = std::collections::HashSet::new();
    while words.len() < n {
        let word = letters(length, first, rng);
        if known.insert(word.clone()) {
            words.push(word);
        }
    }
    words
}
