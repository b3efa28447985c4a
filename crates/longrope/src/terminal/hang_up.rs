//! Whether the terminal was closed while the program runs in it.

use std::io::{IsTerminal, stderr, stdin, stdout};
use std::sync::OnceLock;

/// Which of the standard streams were terminals when the program started.
static AT_START: OnceLock<[bool; 3]> = OnceLock::new();

/// Notes which of the standard streams are terminals.
pub(crate) fn note_terminals() {
    AT_START.get_or_init(terminals);
}

/// Whether a terminal was closed since. What is written to it fails from then on, and reading from it gives nothing.
pub(crate) fn has_hung_up() -> bool {
    let at_start = AT_START.get();
    at_start.is_some_and(|at_start| is_gone(*at_start, terminals()))
}

/// Whether stderr was a terminal that was closed since. A file or a pipe in its place is written to as before.
pub(crate) fn has_stderr_hung_up() -> bool {
    let was_terminal = AT_START.get().is_some_and(|at_start| at_start[2]);
    was_terminal && !stderr().is_terminal()
}

/// Which of the standard streams are terminals. One that was closed answers no question, so it does not count as one.
fn terminals() -> [bool; 3] {
    [
        stdin().is_terminal(),
        stdout().is_terminal(),
        stderr().is_terminal(),
    ]
}

fn is_gone(at_start: [bool; 3], now: [bool; 3]) -> bool {
    at_start
        .into_iter()
        .zip(now)
        .any(|(then, now)| then && !now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_can_be_closed() {
        for (at_start, now, expected) in [
            ([true; 3], [true; 3], false),
            ([true; 3], [false; 3], true),
            ([false, true, true], [false, true, false], true),
            // Of a program whose streams were files or pipes from the start, nothing was closed.
            ([false; 3], [false; 3], false),
        ] {
            assert_eq!(is_gone(at_start, now), expected, "{at_start:?} {now:?}");
        }
    }
}
