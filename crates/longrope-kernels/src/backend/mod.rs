//! One set of operations for every backend, with gradients.
//!
//! [`Kernels`](kernels::Kernels) are bodies, forward and backward, on the tensors of one backend. They default to
//! those composed of Burn's operations; Flex has its own. [`Operations`](operations::Operations) is what tensors
//! call: on a plain backend the forward body, under autodiff a node of the graph whose step back
//! is the backward body.

#![cfg_attr(
    feature = "ndarray",
    expect(deprecated, reason = "ndarray is still one of our backends")
)]

mod autodiff;
#[cfg(any(feature = "wgpu", feature = "vulkan", feature = "cuda"))]
mod cube;
pub(crate) mod kernels;
pub(crate) mod operations;
#[cfg(feature = "remote")]
mod remote;

#[cfg(feature = "remote")]
pub use remote::remote_server;
