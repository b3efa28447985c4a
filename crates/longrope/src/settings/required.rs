//! Required keys.

use anyhow::{Result, anyhow};

use crate::failure::Hint;

/// The value of a required key.
///
/// # Errors
/// If it is not set. The message names `flag`, which sets it.
pub(crate) fn required<'a, T: ?Sized>(value: Option<&'a T>, flag: &str) -> Result<&'a T> {
    value.ok_or_else(|| {
        anyhow!("`{flag}` is missing").context(Hint(format!("give {flag} or set it in --config")))
    })
}
