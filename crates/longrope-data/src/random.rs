//! Random choices. The same seed gives the same choices with every version of `rand`.
//!
//! The bits are those of `ChaCha8` from a seed, as `rand_chacha` draws them. How bits become numbers and orders is
//! written out here, because `rand` may change that between versions.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Generator number `stream` of `seed`. Different streams are independent of each other.
pub(crate) fn generator(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// A number in `0.0..1.0`.
pub(crate) fn unit(rng: &mut ChaCha8Rng) -> f64 {
    // The upper 53 bits fill the mantissa exactly.
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Shuffles in place, by the algorithm of Fisher and Yates.
pub(crate) fn shuffle<T>(items: &mut [T], rng: &mut ChaCha8Rng) {
    for last in (1..items.len()).rev() {
        items.swap(last, below(last + 1, rng));
    }
}

/// A number in `0..bound`; `bound` is at least 1.
///
/// The upper half of a product of random bits and bound, with one more draw where the lower half says that the result
/// may be biased (Canon's method, as in `rand` 0.9 and 0.10).
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves of a u128, and a number below a usize"
)]
pub(crate) fn below(bound: usize, rng: &mut ChaCha8Rng) -> usize {
    // Drawn as u64, so that machines of another word size draw the same.
    let bound = bound as u64;
    let product = |bits: u64| u128::from(bits) * u128::from(bound);
    let first = product(rng.next_u64());
    let (mut drawn, low) = ((first >> 64) as u64, first as u64);
    if low > bound.wrapping_neg() {
        let second = (product(rng.next_u64()) >> 64) as u64;
        drawn += u64::from(low.checked_add(second).is_none());
    }
    drawn as usize
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;

    #[test]
    fn numbers_are_pinned() {
        let mut rng = generator(3, 1);
        let drawn: Vec<usize> = (0..6).map(|_| below(1000, &mut rng)).collect();
        let mut items = [0, 1, 2, 3, 4, 5, 6, 7];
        shuffle(&mut items, &mut rng);
        assert_eq!(
            (drawn.as_slice(), items, unit(&mut rng).to_bits()),
            (
                &[723, 226, 771, 711, 774, 129][..],
                [0, 2, 5, 6, 1, 4, 7, 3],
                4_596_730_009_537_755_664
            )
        );
    }

    /// Numbers were drawn by `rand` once; saved runs and published results depend on them.
    #[test]
    fn numbers_are_those_of_rand_0_10() {
        // Large bounds are those that need a second draw.
        for bound in [1, 2, 7, 90_000, 1 << 40, usize::MAX / 3 * 2, usize::MAX] {
            let (mut ours, mut theirs) = (generator(5, 0), generator(5, 0));
            for _ in 0..2000 {
                let expected = theirs.random_range(0..bound as u64);
                assert_eq!(below(bound, &mut ours) as u64, expected, "{bound}");
            }
            assert_eq!(ours.get_word_pos(), theirs.get_word_pos());
        }
        let (mut ours, mut theirs) = (generator(5, 1), generator(5, 1));
        assert_eq!(unit(&mut ours).to_bits(), theirs.random::<f64>().to_bits());
    }
}
