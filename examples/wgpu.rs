//! The pipeline on the default GPU of wgpu.
//!
//! ```text
//! cargo run --release --features wgpu --example wgpu
//! ```
#![expect(clippy::print_stdout, reason = "an example prints its result")]
#![recursion_limit = "256"]

mod pipeline;

fn main() -> anyhow::Result<()> {
    pipeline::run(&burn::tensor::Device::wgpu(
        burn::tensor::DeviceKind::default(),
    ))
}
