//! The settings of a needle, checked as its kind needs them.

use super::config::{NeedleConfig, NeedleKind};
use super::{association, needle, ordinal};
use crate::error::Result;

impl NeedleConfig {
    /// Checks the settings of this kind before a model is loaded.
    ///
    /// # Errors
    /// If a setting is out of range or has no effect, or the needle does not say what is asked for.
    pub fn validate(&self) -> Result<()> {
        match self.kind {
            NeedleKind::Number => needle::check_config(self),
            NeedleKind::Association => association::check_config(self),
            NeedleKind::Ordinal => ordinal::check_config(self),
        }
    }
}
