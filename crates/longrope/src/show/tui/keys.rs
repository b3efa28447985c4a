//! Keys pressed in the dashboard.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use longrope_extend::Interrupt;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use crate::terminal::signals;

/// Time from one look for keys to the next.
const INTERVAL: Duration = Duration::from_millis(50);

/// A thread that reads keys until this is dropped.
///
/// The library that reads them never returns if the terminal is closed at that moment. A thread of its own keeps the search
/// from waiting for it.
#[derive(Debug)]
pub(super) struct Keys {
    is_over: Arc<AtomicBool>,
}

impl Keys {
    /// Starts the thread. It requests a stop if a key asks for one, or if the terminal was closed.
    pub(super) fn read(interrupt: &Interrupt) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (flag, interrupt) = (Arc::clone(&is_over), interrupt.clone());
        std::thread::spawn(move || {
            while !flag.load(Ordering::Relaxed) && !signals::stop_if_hung_up(&interrupt) {
                handle_pressed(&interrupt);
                std::thread::sleep(INTERVAL);
            }
        });
        Self { is_over }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

/// Handles the keys that were pressed so far. A failure to read them must not end the search.
fn handle_pressed(interrupt: &Interrupt) {
    while event::poll(Duration::ZERO).unwrap_or(false) {
        match event::read() {
            Ok(Event::Key(key)) if asks_to_stop(key) => signals::ask_to_stop(interrupt),
            Ok(_) => {}
            Err(_) => return,
        }
    }
}

/// Whether a key requests a stop: `q`, as in Burn's dashboard, or Ctrl-C, an ordinary key in raw mode.
fn asks_to_stop(key: KeyEvent) -> bool {
    let is_press = key.kind == KeyEventKind::Press;
    let is_ctrl_c = key.code == KeyCode::Char('c') && key.modifiers == KeyModifiers::CONTROL;
    is_press && (is_ctrl_c || key.code == KeyCode::Char('q'))
}
