//! The dashboard: drawing and keys.

use std::io::{Stderr, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use longrope_extend::Interrupt;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::draw::draw;
use super::standing::Standing;
use crate::terminal::screen::{restore_terminal, take_terminal};
use crate::terminal::{progress, signals};

/// Minimum time between two frames.
const FRAME: Duration = Duration::from_millis(100);

/// An open dashboard. Dropping it restores the terminal.
pub(crate) struct Dashboard {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    interrupt: Interrupt,
    opened: Instant,
    drawn: Option<Instant>,
}

impl Dashboard {
    /// Switches the terminal to the dashboard.
    pub(crate) fn open(interrupt: &Interrupt) -> Result<Self> {
        take_terminal()?;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(stderr()))?,
            interrupt: interrupt.clone(),
            opened: Instant::now(),
            drawn: None,
        })
    }

    /// Draws a frame and handles key presses, at most once per [`FRAME`].
    pub(crate) fn show(&mut self, standing: &mut Standing) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        self.drawn = Some(Instant::now());
        while event::poll(Duration::ZERO).unwrap_or(false) {
            if let Ok(Event::Key(key)) = event::read()
                && asks_to_stop(key)
            {
                signals::ask_to_stop(&self.interrupt);
            }
        }
        standing.log = progress::kept_log();
        standing.elapsed_secs = self.opened.elapsed().as_secs_f64();
        standing.is_stopping = self.interrupt.requested();
        // A failure to draw must not end the search.
        let _ = self.terminal.draw(|frame| draw(frame, standing));
    }

    /// Restores the terminal.
    #[expect(clippy::unused_self, reason = "only an open dashboard can be closed")]
    pub(crate) fn close(&mut self) {
        restore_terminal();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        restore_terminal();
    }
}

/// Whether a key requests a stop: `q`, as in Burn's dashboard, or Ctrl-C, an ordinary key in raw mode.
fn asks_to_stop(key: KeyEvent) -> bool {
    let is_press = key.kind == KeyEventKind::Press;
    let is_ctrl_c = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
    is_press && (is_ctrl_c || key.code == KeyCode::Char('q'))
}
