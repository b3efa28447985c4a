//! Ctrl-C: the first one asks to stop, the second one leaves at once.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use longrope_extend::Interrupt;

use crate::terminal::restore_any_terminal;

/// Exit code of a program that was interrupted, by convention of shells.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// Listens for Ctrl-C and for the signal that asks a process to end.
///
/// There is one listener: verbs that run one after the other share it.
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

/// Asks to stop, as Ctrl-C does. The second time, the program ends at once.
pub(crate) fn ask_to_stop(interrupt: &Interrupt) {
    if interrupt.request() {
        leave();
    }
}

#[expect(
    clippy::exit,
    reason = "asked twice: the user does not want to wait, and what is saved is whole"
)]
fn leave() -> ! {
    restore_any_terminal();
    std::process::exit(i32::from(EXIT_INTERRUPTED));
}
