//! Signals. The first Ctrl-C requests a stop, the second one exits at once.

#[cfg(unix)]
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
#[cfg(unix)]
use std::thread;

use anyhow::{Context, Result};
use longrope_extend::{Interrupt, Interrupted};

use super::hang_up::has_hung_up;
use super::screen::restore_any_terminal;

/// Exit code after an interruption, by the convention of shells (128 + SIGINT).
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

/// The interrupt of the process, once somebody listens.
static SHARED: Mutex<Option<Interrupt>> = Mutex::new(None);

/// Starts listening for Ctrl-C and termination signals.
///
/// There is one listener per process: later calls return the same interrupt.
pub(crate) fn listen() -> Result<Interrupt> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(interrupt) = shared.as_ref() {
        return Ok(interrupt.clone());
    }
    let interrupt = Interrupt::default();
    let listener = interrupt.clone();
    ctrlc::set_handler(move || ask_to_stop(&listener)).context("listening for Ctrl-C")?;
    #[cfg(unix)]
    listen_to_termination(&interrupt).context("listening for signals that end the program")?;
    *shared = Some(interrupt.clone());
    Ok(interrupt)
}

/// Requests a stop when the system ends the program (SIGTERM) or the terminal is closed (SIGHUP).
///
/// Whoever starts the program so that it ignores a closed terminal, as `nohup` does, wants it to go on.
#[cfg(unix)]
fn listen_to_termination(interrupt: &Interrupt) -> std::io::Result<()> {
    use signal_hook::{
        consts::{SIGHUP, SIGTERM},
        iterator::Signals,
    };
    let is_heard = |signal: &i32| *signal != SIGHUP || !is_ignored(SIGHUP);
    let mut signals = Signals::new([SIGTERM, SIGHUP].iter().filter(|signal| is_heard(signal)))?;
    let interrupt = interrupt.clone();
    let listen = move || {
        for signal in signals.forever() {
            // The system may send several of these when a terminal is closed. Only a user who asks twice exits at once.
            if signal == SIGHUP {
                interrupt.request();
            } else {
                ask_to_stop(&interrupt);
            }
        }
    };
    thread::Builder::new()
        .name("signals".into())
        .spawn(listen)?;
    Ok(())
}

/// Whether the program was started so that it ignores a signal. Only Linux says so in a file; elsewhere this is false,
/// because a stop that saves is better than one that does not.
#[cfg(unix)]
fn is_ignored(signal: i32) -> bool {
    let status = fs_err::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status) >> (signal - 1) & 1 == 1
}

/// The ignored signals that a status file of Linux lists, one bit for each; none without that line.
#[cfg(unix)]
fn ignored_signals(status: &str) -> u64 {
    let listed = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    listed.map_or(0, |bits| u64::from_str_radix(bits.trim(), 16).unwrap_or(0))
}

/// Lets a write fail that would make a file larger than the system allows (`ulimit -f`), so that the message names the file.
/// Otherwise a signal would end the program without a word.
#[cfg(unix)]
pub(crate) fn let_large_writes_fail() {
    use signal_hook::{consts::SIGXFSZ, flag};
    // A signal that somebody listens for does not end the program. Nobody looks at the flag. If this fails, the signal ends
    // the program as ever.
    let _ = flag::register(SIGXFSZ, Arc::default());
}

/// Other systems have no such signal.
#[cfg(not(unix))]
pub(crate) fn let_large_writes_fail() {}

/// Requests a stop, as Ctrl-C does. The second call exits at once. A closed terminal also requests a stop, but is not
/// counted.
pub(crate) fn ask_to_stop(interrupt: &Interrupt) {
    static WAS_ASKED: AtomicBool = AtomicBool::new(false);
    interrupt.request();
    if WAS_ASKED.swap(true, Ordering::SeqCst) {
        leave();
    }
}

/// Ends work that saves nothing if a stop was requested.
///
/// # Errors
/// [`Interrupted`] if it was.
pub(crate) fn stop_if_asked() -> Result<()> {
    let shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    match shared.as_ref() {
        Some(interrupt) if interrupt.requested() => Err(Interrupted.into()),
        _ => Ok(()),
    }
}

/// Requests a stop if the terminal was closed. Returns whether it was.
pub(crate) fn stop_if_hung_up(interrupt: &Interrupt) -> bool {
    let hung_up = has_hung_up();
    if hung_up {
        interrupt.request();
    }
    hung_up
}

#[expect(
    clippy::exit,
    reason = "the user asked twice and does not want to wait; saved files are complete"
)]
fn leave() -> ! {
    restore_any_terminal();
    std::process::exit(i32::from(EXIT_INTERRUPTED));
}

#[cfg(all(test, unix))]
mod tests {
    use super::ignored_signals;

    #[test]
    fn ignored_signals_are_one_bit_each() {
        let status = "Name:\tlongrope\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored_signals(status), 0x1001);
        assert_eq!(ignored_signals("Name:\tlongrope\n"), 0);
        assert_eq!(ignored_signals("SigIgn:\tnone\n"), 0);
    }
}
