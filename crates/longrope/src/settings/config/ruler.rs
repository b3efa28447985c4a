//! `[ruler]`: which RULER tasks are run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[ruler]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct RulerSection {
    /// Names of tasks; if empty, all tasks with available data.
    pub(crate) tasks: Vec<String>,
    /// Samples per task and context.
    pub(crate) samples: usize,
    /// JSON file of SQuAD, for `qa_1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) squad: Option<PathBuf>,
    /// JSON file of HotpotQA, for `qa_2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hotpotqa: Option<PathBuf>,
}

impl Default for RulerSection {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            samples: 500,
            squad: None,
            hotpotqa: None,
        }
    }
}
