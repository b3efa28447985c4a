//! The pipeline on the CPU, with Burn's ndarray backend: slower, and independent of this project's kernels.
//!
//! ```text
//! cargo run --release --features ndarray --example ndarray
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

mod pipeline;

#[expect(deprecated, reason = "ndarray is still one of our backends")]
fn main() -> anyhow::Result<()> {
    pipeline::run(&burn::tensor::Device::ndarray())
}
