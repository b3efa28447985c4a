//! Loops over rows that the compiler vectorizes, compiled for several instruction sets and selected at run time.
//!
//! Sums and maxima use [`LANES`](lanes::LANES) independent accumulators. The compiler may not reorder floating-point
//! additions, so a loop with one accumulator would not be vectorized. The order of the additions depends only on the
//! length of the row: the same input gives the same bits on all machines with the same instruction set.
#![expect(
    clippy::inline_always,
    reason = "a loop with a call inside is not vectorized"
)]

mod dot;
mod elementwise;
mod exponential;
mod lanes;
mod rms_norm;
mod softmax;

pub(super) use dot::{dot, dots};
pub(super) use elementwise::{
    multiply_in_place, rotate, rotate_neighbours, scale_in_place, scale_into, swiglu_backward,
    swiglu_in_place,
};
pub(super) use exponential::{power_series, split};
pub(super) use lanes::fma;
pub(super) use rms_norm::{rms_norm, rms_norm_backward};
pub(super) use softmax::{exp_scaled_in_place, exp_sum, exp2_sum_in_place, max, softmax_backward};

#[cfg(test)]
mod tests;
