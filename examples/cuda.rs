//! The pipeline on the first NVIDIA GPU.
//!
//! ```text
//! cargo run --release --features cuda --example cuda
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

mod pipeline;

fn main() -> anyhow::Result<()> {
    pipeline::run(&burn::tensor::Device::cuda(0))
}
