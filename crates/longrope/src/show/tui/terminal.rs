//! The dashboard's terminal: drawn to, and its keys.

use std::io::{Stderr, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use longrope_extend::Interrupt;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::draw::draw;
use super::standing::Standing;
use crate::show::progress;
use crate::signals;
use crate::terminal::{restore_terminal, take_terminal};

/// Least time between two drawings.
const FRAME: Duration = Duration::from_millis(100);

/// A dashboard that has the terminal until it is closed.
pub(crate) struct Dashboard {
    terminal: Terminal<CrosstermBackend<Stderr>>,
    interrupt: Interrupt,
    opened: Instant,
    drawn: Option<Instant>,
}

impl Dashboard {
    /// Takes the terminal over.
    pub(crate) fn open(interrupt: &Interrupt) -> Result<Self> {
        take_terminal()?;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(stderr()))?,
            interrupt: interrupt.clone(),
            opened: Instant::now(),
            drawn: None,
        })
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
                signals::ask_to_stop(&self.interrupt);
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
