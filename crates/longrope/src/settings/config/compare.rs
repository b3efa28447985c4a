//! `[compare]`: what `compare` compares.

use serde::{Deserialize, Serialize};

/// `[compare]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct CompareSection {
    /// Methods that are always in the table.
    pub(crate) methods: Vec<String>,
}

impl Default for CompareSection {
    fn default() -> Self {
        let methods = ["none", "pi", "ntk", "dynamic-ntk", "yarn"];
        Self {
            methods: methods.map(str::to_owned).to_vec(),
        }
    }
}
