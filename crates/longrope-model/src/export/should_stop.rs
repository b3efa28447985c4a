//! Asking whether an export should go on.

use std::fmt;

use crate::error::{Error, Result};

/// What an export asks between two tensors or files, to stop when its caller wants that. By default it never stops.
#[derive(Clone, Copy, Default)]
pub struct ShouldStop<'a>(Option<&'a dyn Fn() -> bool>);

impl<'a> ShouldStop<'a> {
    /// Stops as soon as `is_asked` says so.
    pub fn when(is_asked: &'a dyn Fn() -> bool) -> Self {
        Self(Some(is_asked))
    }

    /// Goes on, or stops.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub(super) fn check(self) -> Result<()> {
        if self.0.is_some_and(|is_asked| is_asked()) {
            return Err(Error::Stopped);
        }
        Ok(())
    }
}

impl fmt::Debug for ShouldStop<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let may_stop = self.0.is_some();
        f.debug_tuple("ShouldStop").field(&may_stop).finish()
    }
}
