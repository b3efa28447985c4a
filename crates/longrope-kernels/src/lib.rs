//! The operations whose cost decides how long a context can be: attention, rotary embedding,
//! normalization, the gated MLP and the loss of a language model, with their gradients.
//!
//! Every function here has memory linear in the context, forward and backward. Nothing of size
//! `[seq, seq]` or `[seq, vocab]` is ever allocated: attention works through the queries in
//! blocks, the loss through the rows of the hidden states, and both compute again in the backward
//! pass what they did not keep. [`recompute`] does the same for whole layers.
//!
//! Each operation has two bodies. One is composed of Burn operations and runs on any device. The
//! other is written by hand for Burn's Flex backend (feature `flex`), where composed operations
//! pass over memory several times. Both give the same numbers up to rounding, and the tests of
//! this crate compare them.
//!
//! Conventions: attention tensors are `[batch, heads, seq, head_dim]`; rotary pairs are half-split
//! (element `i` pairs with `i + rotary_dim / 2`).
#![recursion_limit = "256"]

mod attention;
mod backend;
mod composed;
mod elementwise;
#[cfg(feature = "flex")]
mod flex;
mod loss;
pub mod recompute;

pub use attention::{AttentionConfig, Documents, attention};
#[cfg(feature = "remote")]
pub use backend::remote_server;
pub use elementwise::{rms_norm, rotate_half, swiglu};
pub use loss::linear_nll;
