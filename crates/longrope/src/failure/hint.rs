//! Hints: one sentence on how to fix an error.

use std::fmt;

/// How to fix an error. Attached with `context` and printed after the causes.
#[derive(Clone, Debug)]
pub(crate) struct Hint(pub(crate) String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
