//! The `longrope` program. Only this crate knows flags, terminals and the names of devices.
//!
//! All of it is in this library, so that tests select the features they need; `main.rs` calls [`run`].
#![recursion_limit = "256"]

mod commands;
mod failure;
mod input;
mod next_steps;
mod settings;
mod show;
mod terminal;
mod usage;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

/// Runs the command line of this process and returns its exit code: 0 after success, 1 for wrong input, 2 for a fault of the program
/// or of all devices, 130 if the user interrupted it.
#[must_use]
pub fn run() -> ExitCode {
    terminal::hang_up::note_terminals();
    terminal::signals::let_large_writes_fail();
    let args = match usage::parse() {
        Ok(args) => args,
        Err(code) => return code,
    };
    start_log(args.verbose);
    match catch_unwind(AssertUnwindSafe(|| commands::run(args))) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => failure::report(&error),
        // The message of the panic is already on stderr.
        Err(_) => failure::report_panic(),
    }
}

/// Starts logging: warnings by default, more with `-v`. `RUST_LOG` overrides both.
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
        .with_writer(terminal::progress::stderr_above_bars)
        .with_target(false)
        .without_time()
        .with_ansi(show::output::stderr_has_color())
        .init();
}
