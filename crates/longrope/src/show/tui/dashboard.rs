//! The dashboard on the screen.

use std::io::{self, Stderr, Write, stderr};
use std::time::{Duration, Instant};

use anyhow::Result;
use longrope_extend::Interrupt;
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;

use super::draw::draw;
use super::keys::Keys;
use super::standing::Standing;
use crate::terminal::screen::{restore_terminal, take_terminal};
use crate::terminal::{progress, signals};

/// Minimum time between two frames.
const FRAME: Duration = Duration::from_millis(100);

/// An open dashboard. Dropping it restores the terminal.
pub(crate) struct Dashboard {
    terminal: Terminal<CrosstermBackend<SteadyStderr>>,
    /// Read while the dashboard is open.
    keys: Option<Keys>,
    interrupt: Interrupt,
    opened: Instant,
    drawn: Option<Instant>,
}

impl Dashboard {
    /// Switches the terminal to the dashboard.
    pub(crate) fn open(interrupt: &Interrupt) -> Result<Self> {
        take_terminal()?;
        Ok(Self {
            terminal: Terminal::new(CrosstermBackend::new(SteadyStderr(stderr())))?,
            keys: Some(Keys::read(interrupt)),
            interrupt: interrupt.clone(),
            opened: Instant::now(),
            drawn: None,
        })
    }

    /// Draws a frame, at most once per [`FRAME`]. Requests a stop if the terminal was closed.
    pub(crate) fn show(&mut self, standing: &mut Standing) {
        if self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME) {
            return;
        }
        self.drawn = Some(Instant::now());
        if signals::stop_if_hung_up(&self.interrupt) {
            return;
        }
        standing.log = progress::kept_log();
        standing.elapsed_secs = self.opened.elapsed().as_secs_f64();
        standing.is_stopping = self.interrupt.requested();
        // A failure to draw must not end the search.
        let _ = self.terminal.draw(|frame| draw(frame, standing));
    }

    /// Restores the terminal.
    pub(crate) fn close(&mut self) {
        self.keys = None;
        restore_terminal();
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.close();
    }
}

/// Stderr, to draw on. Writing to it never fails: on a closed terminal, the library that draws would panic in the end.
struct SteadyStderr(Stderr);

impl Write for SteadyStderr {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let _ = self.0.write_all(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = self.0.flush();
        Ok(())
    }
}
