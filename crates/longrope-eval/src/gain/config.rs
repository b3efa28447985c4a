//! What a context gain compares.

use longrope_data::Bos;
use serde::{Deserialize, Serialize};

/// Name of the task.
pub(super) const NAME: &str = "gain";

/// Whether the scores of the task of this name are nats per token instead of shares.
pub fn is_in_nats(task: &str) -> bool {
    task == NAME
}

/// What is before the original window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum FarText {
    /// The text of the document.
    #[default]
    Own,
    /// Text of another document, drawn at random: a control, whose gain is that of having any text there.
    Other,
}

/// What the loss with the whole context is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum GainBaseline {
    /// The original window alone.
    #[default]
    Window,
    /// As many tokens under the same RoPE, where the text before the original window is that of another document, drawn at
    /// random. What is left is the gain from what the far text says.
    ///
    /// If [`FarText::Other`] is on the other side of the comparison, the two texts are drawn alike, so the expected gain is
    /// 0 whatever the model does with them, and the draws of different windows are independent.
    Other,
}

/// What is scored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct GainConfig {
    /// Tokens at the end of a window that are scored, at most half of the original window. `None` means
    /// [`DEFAULT_TAIL`](Self::DEFAULT_TAIL), or that half if it is less.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tail: Option<usize>,
    /// What is before the original window.
    pub far: FarText,
    /// What that is compared with.
    pub against: GainBaseline,
}

impl GainConfig {
    /// Tokens that are scored if nothing is said.
    pub const DEFAULT_TAIL: usize = 500;
}

/// The windows that are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GainWindows {
    /// Tokens of a window: the context whose gain is measured.
    pub context: usize,
    /// Most windows of a document.
    pub per_document: usize,
    /// Where the beginning-of-text token is placed.
    pub bos: Bos,
}
