//! The `longrope` program: the only place that knows paths, flags, terminals and backends.
#![recursion_limit = "256"]

mod commands;
mod failure;
mod hint;
mod input;
mod settings;
mod show;
mod signals;
mod terminal;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

/// Tensors of megabytes come and go with every operation. The system's allocator returns each to
/// the kernel and asks for it again, which took a third of the time of an evaluation.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = match settings::args::Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Help and version are answers; everything else is the user's input.
            let code = u8::from(error.use_stderr());
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    start_log(args.verbose);
    match catch_unwind(AssertUnwindSafe(|| commands::run(args))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failure::report(&error),
        // The panic's own message is on stderr already.
        Err(_) => failure::report_panic(),
    }
}

/// Warnings by default, more with `-v`; `RUST_LOG` overrides both.
fn start_log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new(format!("warn,longrope={level}")));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(show::progress::stderr_above_bars)
        .with_target(false)
        .without_time()
        .with_ansi(show::output::stderr_has_color())
        .init();
}
