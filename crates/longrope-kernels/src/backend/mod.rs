//! One set of operations for every backend, with gradients.
//!
//! [`Kernels`](kernels::Kernels) are the implementations for one backend, forward and backward. The default ones are
//! composed of Burn's operations; Flex has its own. [`Operations`](operations::Operations) are what the public
//! functions call. On a plain backend they run the forward implementation. Under autodiff they also add a node to the
//! graph, whose backward step runs the backward implementation.

#![cfg_attr(
    feature = "ndarray",
    expect(deprecated, reason = "ndarray is still supported")
)]

mod autodiff;
#[cfg(feature = "cube")]
mod cube;
pub(crate) mod kernels;
pub(crate) mod operations;
#[cfg(feature = "remote")]
mod remote;

#[cfg(feature = "remote")]
pub use remote::remote_server;
