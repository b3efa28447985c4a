//! Terminals that are closed while the program runs in them.

use std::io::{IsTerminal, stderr, stdin, stdout};

/// Which of the standard streams are terminals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terminals {
    /// Whether stdin is one.
    pub stdin: bool,
    /// Whether stdout is one.
    pub stdout: bool,
    /// Whether stderr is one.
    pub stderr: bool,
}

impl Terminals {
    /// Those of now. A terminal that was closed answers no question, so it does not count as one.
    pub fn now() -> Self {
        Self {
            stdin: stdin().is_terminal(),
            stdout: stdout().is_terminal(),
            stderr: stderr().is_terminal(),
        }
    }

    /// Whether one of these is a terminal no longer. A file or a pipe in its place is never closed.
    pub fn one_is_closed(self, now: Self) -> bool {
        let closed = |then: bool, now: bool| then && !now;
        closed(self.stdin, now.stdin)
            || closed(self.stdout, now.stdout)
            || closed(self.stderr, now.stderr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terminals([stdin, stdout, stderr]: [bool; 3]) -> Terminals {
        Terminals {
            stdin,
            stdout,
            stderr,
        }
    }

    #[test]
    fn only_a_terminal_can_be_closed() {
        for (at_start, now, expected) in [
            ([true; 3], [true; 3], false),
            ([true; 3], [false; 3], true),
            ([false, true, true], [false, true, false], true),
            // Of a program whose streams were files or pipes from the start, nothing was closed.
            ([false; 3], [false; 3], false),
        ] {
            let closed = terminals(at_start).one_is_closed(terminals(now));
            assert_eq!(closed, expected, "{at_start:?} {now:?}");
        }
    }
}
