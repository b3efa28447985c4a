//! Which elements of a head the rotary embedding rotates together.

/// The layout of the pairs of a rotary embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// Pair `i` of `n` is elements `i` and `i + n`.
    Halves,
    /// Pair `i` is elements `2i` and `2i + 1`.
    Neighbours,
}
