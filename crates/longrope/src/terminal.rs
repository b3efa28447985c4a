//! The terminal when a dashboard has taken it over: who gives it back, whatever happens.

use std::io::stderr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
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
        let _ = execute!(
            stderr(),
            LeaveAlternateScreen,
            ratatui::crossterm::cursor::Show
        );
        let _ = disable_raw_mode();
        progress::release_log();
    }
}

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
