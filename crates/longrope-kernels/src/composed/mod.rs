//! Implementations composed of Burn's own operations, which run on every backend.
//!
//! Scores are computed for one block of queries and keys at a time, and logits for one chunk of rows, as many as fit into a
//! number of bytes.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, passed as Burn passes them"
)]

mod attention;
mod chunks;
mod elementwise;
mod linear;
mod loss;
mod ops;
mod softcap;

pub(crate) use attention::{Products, attention, attention_backward, log_sum_exp};
pub(crate) use chunks::CHUNK_BYTES;
pub(crate) use elementwise::{rms_norm, rms_norm_backward, rotate, swiglu, swiglu_backward};
pub(crate) use linear::{linear, linear_backward, linear_backward_of_weight};
pub(crate) use loss::{linear_nll, linear_nll_backward};
pub(crate) use ops::{Float, wide};
