//! The range of every number in a config, so that a wrong one is named before anything is computed or allocated.
//!
//! Upper ends of sizes are far above every published model. They keep the product of all sizes of a model below 2^63.

use std::ops::RangeInclusive;

use crate::scaling::{BASE, is_base};

/// A range of whole numbers.
pub(super) struct Count {
    pub(super) range: RangeInclusive<u64>,
    pub(super) expected: &'static str,
}

/// A range of numbers.
pub(super) struct Number {
    pub(super) holds: fn(f64) -> bool,
    pub(super) expected: &'static str,
}

/// Layers. Published models have at most some hundred.
pub(super) const LAYERS: Count = Count {
    range: 1..=16_384,
    expected: "a whole number from 1 to 16384",
};

/// Heads, and dimensions of a head.
pub(super) const HEADS: Count = Count {
    range: 1..=65_536,
    expected: "a whole number from 1 to 65536",
};

/// Widths of the residual stream.
pub(super) const WIDTH: Count = Count {
    range: 1..=1_048_576,
    expected: "a whole number from 1 to 1048576",
};

/// Widths inside the MLP, and vocabularies.
pub(super) const WIDE: Count = Count {
    range: 1..=16_777_216,
    expected: "a whole number from 1 to 16777216",
};

/// Experts of a layer, and those that a token uses.
pub(super) const EXPERTS: Count = Count {
    range: 1..=4096,
    expected: "a whole number from 1 to 4096",
};

/// Experts of all layers together. Each has tensors of its own, whose names are listed.
pub(super) const ALL_EXPERTS: usize = 262_144;

/// Dimensions of all heads together.
pub(super) const ALL_HEADS: u64 = 16_777_216;

/// Contexts, in tokens. The attention scale divides by the logarithm of the context, which is 0 for one token.
/// Positions are 32-bit numbers in other programs.
pub(super) const CONTEXT: Count = Count {
    range: 2..=4_294_967_296,
    expected: "a whole number of tokens from 2 to 4294967296",
};

/// Sliding windows, in tokens; 0 is no window.
pub(super) const WINDOW: Count = Count {
    range: 0..=4_294_967_296,
    expected: "null or a whole number of tokens from 0 to 4294967296",
};

/// A number of layers that may be larger than the model.
pub(super) const FIRST_LAYER: Count = Count {
    range: 0..=4_294_967_296,
    expected: "a whole number of at least 0",
};

/// Bases of the frequencies.
pub(super) const THETA: Number = Number {
    holds: is_base,
    expected: BASE,
};

/// Shares of a head that are rotated.
pub(super) const SHARE: Number = Number {
    holds: |share| share > 0.0 && share <= 1.0,
    expected: "a number above 0 and up to 1",
};

/// What is added to a mean square before its root is taken.
pub(super) const EPSILON: Number = Number {
    holds: |epsilon| (0.0..=1.0).contains(&epsilon),
    expected: "a number from 0 to 1",
};

/// Growths of the context, which multiply contexts.
pub(super) const GROWTH: Number = Number {
    holds: |growth| growth > 0.0 && growth <= 1_048_576.0,
    expected: "a number above 0 and up to 1048576",
};

/// Scales of attention, and numbers of turns, which must be above 0.
pub(super) const POSITIVE: Number = Number {
    holds: |number| number > 0.0 && number <= 1e9,
    expected: "a number above 0 and up to 1e9",
};

/// Numbers for which 0 means that they are not given.
pub(super) const NOT_NEGATIVE: Number = Number {
    holds: |number| (0.0..=1e9).contains(&number),
    expected: "a number from 0 to 1e9",
};
