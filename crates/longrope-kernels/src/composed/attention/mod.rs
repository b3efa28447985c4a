//! Exact attention over blocks of queries and keys, forward and backward.
//!
//! The scores of one block exist at a time, `[rows, keys]` of all heads. The softmax of a row runs over its blocks with a
//! maximum and a sum that are corrected as larger scores appear (Dao et al., arXiv 2205.14135, algorithm 1). Blocks that no
//! query sees are skipped, and only those that some query sees in part are masked. So what is read besides the scores does
//! not grow faster than the number of blocks, at any length.

mod backward;
mod blocks;
mod forward;
pub(crate) mod gradients;
mod rows;
pub(crate) mod softmax;
pub(crate) mod view;

#[cfg(feature = "flex")]
#[cfg(test)]
mod tests;

pub(crate) use backward::attention_backward;
pub(crate) use forward::{attention, log_sum_exp};
