//! Random choices, drawn in ways that belong to this crate and not to a version of another one.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The generator number `stream` of `seed`: those of two numbers share nothing.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// A number from 0 to 1, 1 excluded.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    // The upper 53 bits fill the mantissa exactly.
    (rng.random::<u64>() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Fisher and Yates; written out so that the order belongs to this crate and not to a version of another one.
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, rng));
    }
}

/// A number below `bound`, which is at least 1.
#[expect(
    clippy::cast_possible_truncation,
    reason = "what is below a usize is a usize"
)]
pub(crate) fn below(bound: usize, rng: &mut ChaCha8Rng) -> usize {
    // Drawn as u64, so that machines of another word size draw the same.
    rng.random_range(0..bound as u64) as usize
}
