//! The terminal when a dashboard has taken it over: who gives it back, whatever happens.

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

use crate::show::progress;

/// Whether the terminal is ours at the moment.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// Takes the terminal over: keys come one by one, and what is drawn leaves the ordinary screen as it was.
pub(crate) fn take_terminal() -> Result<()> {
    restore_on_panic();
    enable_raw_mode().context("taking the terminal over for a dashboard")?;
    IS_TAKEN.store(true, Ordering::SeqCst);
    progress::keep_log();
    execute!(stderr(), EnterAlternateScreen)?;
    Ok(())
}

/// Gives the terminal back if it is taken, and shows the log lines that were kept meanwhile.
pub(crate) fn restore_terminal() {
    if IS_TAKEN.swap(false, Ordering::SeqCst) {
        let _ = execute!(stderr(), LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
        progress::release_log();
    }
}

/// Gives the terminal back, whoever took it: also where Burn's dashboard has it, which leaves that to the end of a run.
pub(crate) fn restore_any_terminal() {
    restore_terminal();
    if is_raw_mode_enabled().unwrap_or(false) {
        let _ = execute!(stdout(), DisableMouseCapture, LeaveAlternateScreen, Show);
        let _ = disable_raw_mode();
    }
}

/// While it lives, Ctrl-C is a signal even where a dashboard has the terminal.
///
/// Burn's dashboard puts the terminal into raw mode, in which Ctrl-C is an ordinary key, and does nothing with that key.
/// A thread looks five times a second whether that is so and turns signals on again. Our handler then asks the run to
/// stop, which saves its state.
#[derive(Debug)]
pub(crate) struct CtrlCInDashboard {
    is_over: Arc<AtomicBool>,
}

impl CtrlCInDashboard {
    /// Begins to look.
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

/// Lets keys such as Ctrl-C raise signals; the rest of the terminal's mode stays.
#[cfg(unix)]
fn turn_signals_on() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = std::io::stdin();
    if let Ok(mut mode) = tcgetattr(&stdin)
        && !mode.local_modes.contains(LocalModes::ISIG)
    {
        mode.local_modes.insert(LocalModes::ISIG);
        // Without it, `q` stops the run.
        let _ = tcsetattr(&stdin, OptionalActions::Now, &mode);
    }
}

#[cfg(not(unix))]
fn turn_signals_on() {}

/// Shows the message of a panic on the ordinary screen. Panics of workers are not shown: the pool handles them.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // First, so that workers' panics do not come here.
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
