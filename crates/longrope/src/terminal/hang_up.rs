//! Whether the terminal was closed while the program runs in it.

use std::io::{IsTerminal, stderr};
use std::sync::OnceLock;

use longrope_trainer::Terminals;

/// Which of the standard streams were terminals when the program started.
static AT_START: OnceLock<Terminals> = OnceLock::new();

/// Notes which of the standard streams are terminals.
pub(crate) fn note_terminals() {
    AT_START.get_or_init(Terminals::now);
}

/// Whether a terminal was closed since. What is written to it fails from then on, and reading from it gives nothing.
pub(crate) fn has_hung_up() -> bool {
    let at_start = AT_START.get();
    at_start.is_some_and(|at_start| at_start.one_is_closed(Terminals::now()))
}

/// Whether stderr was a terminal that was closed since. A file or a pipe in its place is written to as before.
pub(crate) fn has_stderr_hung_up() -> bool {
    let was_terminal = AT_START.get().is_some_and(|at_start| at_start.stderr);
    was_terminal && !stderr().is_terminal()
}
