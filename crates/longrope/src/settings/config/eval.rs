//! `[eval]`: how windows are placed and scored.

use longrope_eval::PplProtocol;
use longrope_rope::AnglePrecision;
use serde::{Deserialize, Serialize};

/// `[eval]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct EvalSection {
    /// Windows per document, evenly spaced.
    pub(crate) windows: usize,
    /// Tokens from the start of one window to the start of the next, for overlapping windows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stride: Option<usize>,
    /// Tokens of the windows that are spread and then divided, so that all contexts score the same text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) within: Option<usize>,
    /// Position of the beginning-of-text token.
    pub(crate) bos: BosSetting,
    /// Precision of angles.
    pub(crate) angles: AngleSetting,
    /// Perplexity protocol.
    pub(crate) protocol: PplProtocol,
    /// RoPE that differences are taken to; if unset, the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reference: Option<String>,
    /// Score from 0 to 1 that a context needs to count as effective.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) threshold: Option<f64>,
}

impl Default for EvalSection {
    fn default() -> Self {
        Self {
            windows: 8,
            stride: None,
            within: None,
            bos: BosSetting::Document,
            angles: AngleSetting::F64,
            protocol: PplProtocol::Longrope,
            reference: None,
            threshold: None,
        }
    }
}

/// Position of the beginning-of-text token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum BosSetting {
    /// At the beginning of a document, where the tokenizer puts it.
    Document,
    /// At the beginning of every window.
    Window,
    /// Nowhere.
    None,
}

/// Precision of angles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum AngleSetting {
    /// Exact at every position.
    F64,
    /// With the rounding of transformers, whose error grows with the position.
    CompatF32,
}

impl From<AngleSetting> for AnglePrecision {
    fn from(setting: AngleSetting) -> Self {
        match setting {
            AngleSetting::F64 => Self::F64,
            AngleSetting::CompatF32 => Self::CompatF32,
        }
    }
}
