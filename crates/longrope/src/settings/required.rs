//! Keys that a verb cannot do without.

use anyhow::{Result, anyhow};

use crate::hint::Hint;

/// A required key, by the flag that sets it.
pub(crate) fn required<'a, T>(value: Option<&'a T>, flag: &str) -> Result<&'a T> {
    value.ok_or_else(|| {
        anyhow!("`{flag}` is missing").context(Hint(format!("give {flag} or set it in --config")))
    })
}
