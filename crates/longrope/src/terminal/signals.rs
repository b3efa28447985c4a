//! Ctrl-C: the first one requests a stop, the second one exits at once.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use longrope_extend::Interrupt;

use super::screen::restore_any_terminal;

/// Exit code after an interruption, by the convention of shells (128 + SIGINT).
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// Starts listening for Ctrl-C and termination signals.
///
/// There is one listener per process: later calls return the same interrupt.
pub(crate) fn listen() -> Result<Interrupt> {
    static SHARED: Mutex<Option<Interrupt>> = Mutex::new(None);
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(interrupt) = shared.as_ref() {
        return Ok(interrupt.clone());
    }
    let interrupt = Interrupt::default();
    let listener = interrupt.clone();
    ctrlc::set_handler(move || ask_to_stop(&listener)).context("listening for Ctrl-C")?;
    *shared = Some(interrupt.clone());
    Ok(interrupt)
}

/// Requests a stop, as Ctrl-C does. The second call exits at once.
pub(crate) fn ask_to_stop(interrupt: &Interrupt) {
    if interrupt.request() {
        leave();
    }
}

#[expect(
    clippy::exit,
    reason = "the user asked twice and does not want to wait; saved files are complete"
)]
fn leave() -> ! {
    restore_any_terminal();
    std::process::exit(i32::from(EXIT_INTERRUPTED));
}
