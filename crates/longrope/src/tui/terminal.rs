//! The terminal: taken over, drawn to, given back.

use std::io::{IsTerminal, Stderr, stderr, stdin};
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};

use super::draw::draw;
use super::standing::Standing;
use crate::interrupt::Interrupt;
use crate::progress;

/// Least time between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// Whether the terminal is ours at the moment.
static IS_TAKEN: AtomicBool = AtomicBool::new(false);

/// A dashboard that has the terminal until it is closed.
pub(crate) struct Dashboard {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    interrupt: Interrupt,
    opened: Instant,
    drawn: Option<Instant>,
}

impl Dashboard {
    /// Takes the terminal over; `None` if there is none.
    pub(crate) fn open(interrupt: &Interrupt) -> Result<Option<Self>> {
        if !stderr().is_terminal() || !stdin().is_terminal() {
            tracing::warn!("there is no terminal for a dashboard, only progress is shown");
            return Ok(None);
        }
        restore_on_panic();
        enable_raw_mode().context("taking the terminal over for a dashboard")?;
        IS_TAKEN.store(true, Ordering::SeqCst);
        progress::keep_log();
        execute!(stderr(), EnterAlternateScreen)?;
        Ok(Some(Self {
            terminal: Terminal::new(CrosstermBackend::new(stderr()))?,
            interrupt: interrupt.clone(),
            opened: Instant::now(),
            drawn: None,
        }))
    }

    /// Draws, unless it has just been done, and obeys the keys that were pressed.
    pub(crate) fn show(&mut self, standing: &mut Standing) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        self.drawn = Some(Instant::now());
        while event::poll(Duration::ZERO).unwrap_or(false) {
            if let Ok(Event::Key(key)) = event::read()
                && asks_to_stop(key)
            {
                self.interrupt.request();
            }
        }
        standing.log = progress::kept_log();
        standing.elapsed_secs = self.opened.elapsed().as_secs_f64();
        standing.is_stopping = self.interrupt.requested();
        // A terminal that cannot be drawn on any more must not end a search.
        let _ = self.terminal.draw(|frame| draw(frame, standing));
    }

    /// Gives the terminal back.
    #[expect(clippy::unused_self, reason = "who closes it has one")]
    pub(crate) fn close(&mut self) {
        restore_terminal();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// `q`, as in Burn's dashboard, or Ctrl-C, which is an ordinary key while the terminal is ours.
fn asks_to_stop(key: KeyEvent) -> bool {
    let is_press = key.kind == KeyEventKind::Press;
    let is_ctrl_c = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
    is_press && (is_ctrl_c || key.code == KeyCode::Char('q'))
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

/// The message of a panic is to be read on the ordinary screen. Panics of workers are none of
/// ours: the pool deals with them.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // First, so that workers' panics do not come here.
        crate::pool::silence_panics();
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
