//! Starts the `longrope` program.

use std::process::ExitCode;

/// Every operation allocates and frees tensors of megabytes. The system's allocator returns them to the kernel each
/// time, which took a third of the time of an evaluation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    longrope::run()
}
