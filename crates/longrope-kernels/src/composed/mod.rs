//! Implementations composed of Burn's own operations, which run on every backend.
//!
//! Scores and logits are computed for one chunk of rows at a time, as many rows as fit into a fixed number of bytes.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, passed as Burn passes them"
)]

mod attention;
mod by_document;
mod chunks;
mod elementwise;
mod linear;
mod loss;
mod ops;
mod softcap;

pub(crate) use attention::{attention, attention_backward, attention_log_sum_exp};
#[cfg(feature = "cube")]
pub(crate) use by_document::attend_by_document;
pub(crate) use elementwise::{rms_norm, rms_norm_backward, rotate, swiglu, swiglu_backward};
pub(crate) use linear::{linear, linear_backward};
pub(crate) use loss::{linear_nll, linear_nll_backward};
pub(crate) use ops::Float;
#[cfg(feature = "remote")]
pub(crate) use ops::wide;
