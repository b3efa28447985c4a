//! Switches the terminal to a dashboard and back, also after errors and panics.

use std::io::{stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once};
use std::time::Duration;

use anyhow::{Context, Result};
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::DisableMouseCapture;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
    is_raw_mode_enabled,
};

use super::progress;

/// Whether our dashboard has the terminal.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Switches the terminal to raw mode and to the alternate screen.
pub(crate) fn take_terminal() -> Result<()> {
    restore_on_panic();
    enable_raw_mode().context("preparing the terminal for a dashboard")?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    progress::keep_log();
    execute!(stderr(), EnterAlternateScreen)?;
    Ok(())
}

/// Restores the terminal if our dashboard has it, and prints the log lines kept in the meantime.
pub(crate) fn restore_terminal() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        progress::release_log();
    }
}

/// Restores the terminal, also from Burn's dashboard, which would do so only at the end of a run.
pub(crate) fn restore_any_terminal() {
    restore_terminal();
    if is_raw_mode_enabled().unwrap_or(false) {
        let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// A guard: while it exists, Ctrl-C raises a signal even in a dashboard.
///
/// Burn's dashboard puts the terminal into raw mode, in which Ctrl-C is an ordinary key, and ignores that key. A thread
/// checks for this five times a second and enables signals again. Our handler then requests a stop, and the run saves
/// its state.
#[derive(Debug)]
pub(crate) struct CtrlCInDashboard {
    is_over: Arc<AtomicBool>,
}

impl CtrlCInDashboard {
    /// Starts the thread.
    pub(crate) fn watch() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_over);
        std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) {
                if is_raw_mode_enabled().unwrap_or(false) {
                    turn_signals_on();
                }
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        Self { is_over }
    }
}

impl Drop for CtrlCInDashboard {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Enables signals from keys such as Ctrl-C and keeps the rest of the terminal's mode.
#[cfg(unix)]
fn turn_signals_on() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    if let Ok(mut mode) = tcgetattr(&stdin)
        && !mode.local_modes.contains(LocalModes::ISIG)
    {
        mode.local_modes.insert(LocalModes::ISIG);
        // If this fails, `q` still stops the run.
        let _ = tcsetattr(&stdin, OptionalActions::Now, &mode);
    }
}

#[cfg(not(unix))]
fn turn_signals_on() {}

/// Installs a panic hook that restores the terminal first, so that the message stays visible. The pool handles panics of
/// workers.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Installed first, so that panics of workers do not reach our hook.
        longrope_extend::pool::silence_panics();
        let before = std::panic::take_hook();
        let dashboard_thread = std::thread::current().id();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().id() == dashboard_thread {
                restore_terminal();
            }
            before(info);
        }));
    });
}
