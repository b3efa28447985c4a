//! Losses from hidden states without logits: tiles of rows by words.

mod backward;
mod forward;
mod rows;

pub(super) use backward::linear_nll_backward;
pub(super) use forward::linear_nll;
