#![doc = include_str!("../README.md")]
#![recursion_limit = "256"]

mod attention;
mod backend;
mod buffers;
mod composed;
#[cfg(feature = "cube")]
mod cube;
mod elementwise;
#[cfg(feature = "flex")]
mod flex;
mod linear;
mod loss;
mod pairs;
pub mod recompute;
mod softcap;

pub use attention::{
    AttentionConfig, Documents, attention, attention_with_log_sum_exp, attention_with_sinks,
    merge_attention,
};
#[cfg(feature = "remote")]
pub use backend::remote_server;
pub use buffers::largest_buffer;
pub use elementwise::{rms_norm, rotate_half, rotate_interleaved, swiglu};
pub use linear::linear;
pub use loss::linear_nll;
