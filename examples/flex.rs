//! The pipeline on the CPU, with Burn's Flex backend and this project's kernels for it.
//!
//! ```text
//! cargo run --release --example flex
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

mod pipeline;

fn main() -> anyhow::Result<()> {
    pipeline::run(&burn::tensor::Device::flex())
}
