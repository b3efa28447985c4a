//! Implementations composed of Burn's own operations, which run on every backend.
//!
//! Backends with faster kernels for a part of them replace some [`Steps`](steps::Steps).
//!
//! Scores are computed for one block of queries and keys at a time, and logits for one chunk of rows, as many as fit into a
//! number of bytes.
#![expect(
    clippy::needless_pass_by_value,
    reason = "tensors are handles, passed as Burn passes them"
)]

pub(crate) mod attention;
mod chunks;
mod elementwise;
mod linear;
mod loss;
mod ops;
mod products;
mod rows;
mod softcap;
pub(crate) mod steps;

pub(crate) use attention::{attention, attention_backward, log_sum_exp};
pub(crate) use chunks::CHUNK_BYTES;
pub(crate) use elementwise::{rms_norm, rms_norm_backward, rotate, swiglu, swiglu_backward};
pub(crate) use linear::{linear, linear_backward, linear_backward_of_weight};
pub(crate) use loss::{linear_nll, linear_nll_backward};
pub(crate) use ops::{Float, wide};
pub(crate) use products::Products;
