//! `[recover]`: how short contexts are recovered.

use serde::{Deserialize, Serialize};

/// `[recover]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct RecoverSection {
    /// Largest factor allowed, as a multiple of context / original context, or of 1 for shorter ones.
    pub(crate) max_factor_ratio: f64,
}

impl Default for RecoverSection {
    fn default() -> Self {
        Self {
            max_factor_ratio: 2.0,
        }
    }
}
