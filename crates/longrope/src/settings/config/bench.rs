//! `[bench]`: which benchmark is run.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[bench]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct BenchSection {
    /// Name of the benchmark.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    /// Files with questions.
    pub(crate) data: Vec<PathBuf>,
    /// Files with few-shot examples.
    pub(crate) fewshot: Vec<PathBuf>,
    /// Examples before each question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) shots: Option<usize>,
    /// Maximum number of questions, per subject if there are subjects.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<usize>,
}
