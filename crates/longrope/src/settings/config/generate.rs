//! `[generate]`: how text is generated.

use std::path::PathBuf;

use longrope_model::FactorChoice;
use serde::{Deserialize, Serialize};

/// `[generate]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct GenerateSection {
    /// Prompts to continue.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prompts: Vec<String>,
    /// Files with a prompt each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) prompt_files: Vec<PathBuf>,
    /// Maximum number of tokens to add to a prompt.
    pub(crate) max_new_tokens: usize,
    /// Sampling temperature; 0 always takes the most likely token.
    pub(crate) temperature: f64,
    /// Draw from this number of most likely tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_k: Option<usize>,
    /// Draw from the most likely tokens that together have this probability.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) top_p: Option<f64>,
    /// Whether to continue after the end-of-text token.
    pub(crate) ignore_eos: bool,
    /// Which factor set is used for a sequence.
    pub(crate) factors: FactorSetting,
}

impl Default for GenerateSection {
    fn default() -> Self {
        Self {
            prompts: Vec::new(),
            prompt_files: Vec::new(),
            max_new_tokens: 64,
            temperature: 0.0,
            top_k: None,
            top_p: None,
            ignore_eos: false,
            factors: FactorSetting::Total,
        }
    }
}

/// Which factor set is used for a sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FactorSetting {
    /// The set for prompt and new tokens together, from the start.
    Total,
    /// The set for the current length. The sequence is computed again when it crosses a border between sets.
    Length,
}

impl From<FactorSetting> for FactorChoice {
    fn from(setting: FactorSetting) -> Self {
        match setting {
            FactorSetting::Total => Self::Total,
            FactorSetting::Length => Self::Length,
        }
    }
}
