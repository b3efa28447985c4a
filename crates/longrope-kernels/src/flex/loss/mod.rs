//! The loss of [`crate::linear_nll`]: logits are computed in tiles of rows by tokens of the vocabulary.

mod backward;
mod forward;
mod rows;

pub(super) use backward::linear_nll_backward;
pub(super) use forward::linear_nll;
