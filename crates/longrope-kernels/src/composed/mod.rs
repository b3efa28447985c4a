//! Bodies made of Burn's own operations: they run on every backend.
//!
//! Where a body needs scores or logits, it makes them for a chunk of rows at a time, as many as
//! fit into a fixed number of bytes.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, passed as Burn passes them"
)]

mod attention;
mod chunks;
mod elementwise;
mod loss;
mod ops;

pub(crate) use attention::{attention, attention_backward};
pub(crate) use elementwise::{rms_norm, rms_norm_backward, rotate_half, swiglu, swiglu_backward};
pub(crate) use loss::{linear_nll, linear_nll_backward};
pub(crate) use ops::Float;
#[cfg(feature = "remote")]
pub(crate) use ops::wide;
