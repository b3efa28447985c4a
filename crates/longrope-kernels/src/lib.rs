//! The operations whose cost decides how long a context can be: attention, rotary embedding,
//! normalization, the gated MLP and the loss of a language model.
//!
//! Every function here has memory linear in the context. Nothing of size `[seq, seq]` or
//! `[seq, vocab]` is ever allocated: attention works through the queries in chunks, the loss
//! through the rows of the hidden states.
//!
//! Each operation has two bodies. One is composed of Burn operations and runs on any device. The
//! other is written by hand for Burn's Flex backend (feature `flex`), where composed operations
//! pass over memory several times; it is taken when the tensors are `f32` on a plain Flex device.
//! Both give the same numbers up to rounding, and the tests of this crate compare them.
//!
//! Conventions: attention tensors are `[batch, heads, seq, head_dim]`; rotary pairs are half-split
//! (element `i` pairs with `i + rotary_dim / 2`).
#![recursion_limit = "256"]

mod attention;
mod elementwise;
#[cfg(feature = "flex")]
mod flex;
mod loss;

pub use attention::{AttentionConfig, attention};
pub use elementwise::{rms_norm, rotate_half, swiglu};
pub use loss::linear_nll;

use burn::tensor::{DType, Tensor};

/// Whether the hand-written kernels apply: plain `f32` on Flex, not under autodiff.
#[cfg(feature = "flex")]
fn has_flex_kernels<const D: usize>(tensor: &Tensor<D>) -> bool {
    tensor.dtype() == DType::F32
        && matches!(
            tensor.device().as_dispatch(),
            burn::backend::DispatchDevice::Flex(_)
        )
}

#[cfg(not(feature = "flex"))]
fn has_flex_kernels<const D: usize>(_: &Tensor<D>) -> bool {
    false
}
