//! Ctrl-C: the first one asks, the second one leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

/// Whether the user has asked to stop.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

/// Exit code of a program that was interrupted, by convention of shells.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

impl Interrupt {
    /// Listens for Ctrl-C and for the signal that asks a process to end.
    ///
    /// There is one listener: verbs that run one after the other share it.
    pub(crate) fn listen() -> Result<Self> {
        static SHARED: Mutex<Option<Interrupt>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(interrupt) = shared.as_ref() {
            return Ok(interrupt.clone());
        }
        let interrupt = Self::default();
        let listener = interrupt.clone();
        ctrlc::set_handler(move || listener.request()).context("listening for Ctrl-C")?;
        *shared = Some(interrupt.clone());
        Ok(interrupt)
    }

    /// Asks to stop, as Ctrl-C does: the second time, the program ends at once.
    pub(crate) fn request(&self) {
        if self.0.swap(true, Ordering::SeqCst) {
            leave();
        }
    }

    /// Whether to stop now.
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

/// Asked twice: the user does not want to wait.
#[expect(clippy::exit, reason = "whatever is under way is saved or not wanted")]
fn leave() -> ! {
    crate::terminal::restore_terminal();
    std::process::exit(i32::from(EXIT_INTERRUPTED));
}

/// The user stopped the program.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
pub(crate) struct Interrupted;
