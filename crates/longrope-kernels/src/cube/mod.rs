//! Kernels for GPUs, written in CubeCL.
//!
//! Burn fuses element-wise operations and composes the rest, which passes over memory more often than needed where a row is
//! first reduced and then used again. These kernels read a row from memory once, and again while it is in the cache, and write
//! each result once. A row belongs to one cube (a CUDA block, a WebGPU workgroup), whose units add up in a fixed order, so
//! results repeat bit for bit.
//!
//! Burn's fusion runs operations later than they are called, so each operation here has two parts: what it returns, and how
//! it is launched ([`lazily`](lazy::lazily)).
#![expect(
    clippy::used_underscore_binding,
    reason = "a launch reads the types of a kernel, whose body does not"
)]

mod attention;
mod launch;
mod lazy;
mod losses;
mod product;
mod rms_norm;
mod rotate;

pub(crate) use attention::{gradients_of_scores, weights};
pub(crate) use losses::{gradients_of_logits, losses};
pub(crate) use product::product;
pub(crate) use rms_norm::{rms_norm, rms_norm_backward};
pub(crate) use rotate::rotate;
