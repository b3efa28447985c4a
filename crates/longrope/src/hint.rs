//! What to do about an error, in a sentence.

use std::fmt;

/// What to do about an error; attached with `context` and shown after the causes.
#[derive(Clone, Debug)]
pub(crate) struct Hint(pub(crate) String);

impl fmt::Display for Hint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
