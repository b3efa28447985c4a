//! The verdict after a search: its winner against the methods, on text and passkeys that it did not see.

use serde::{Deserialize, Serialize};

use super::method_loss::MethodLoss;
use super::objective_kind::ObjectiveKind;
use super::verdict_words::{Words, words};
use crate::scoring::Adapted;

/// The winner of a search against the methods, on text and passkeys that the search did not see.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Tokens of a window and of a text with a passkey.
    pub context: usize,
    /// The text.
    pub held_out: HeldOutText,
    /// The winner.
    pub searched: MethodLoss,
    /// The methods, with their differences to the winner.
    pub baselines: Vec<MethodLoss>,
    /// How the model was adapted to each RoPE before it was measured; `None` if it was measured as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapted: Option<Adapted>,
    /// Share of passkeys that the model finds within its own window; `None` if that was not tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkeys_in_window: Option<f64>,
    /// Name of the RoPE to use: `searched` or a method.
    pub recommended: String,
    /// The verdict in words, a sentence per line.
    pub lines: Vec<String>,
}

/// The text of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldOutText {
    /// Fingerprint of all held-out text.
    pub text_fingerprint: String,
    /// Tokens of all held-out text.
    pub n_tokens: usize,
    /// Windows that were measured.
    pub n_windows: usize,
}

/// What a verdict is made from: its fields, and the objective of the search.
pub(super) struct Judged {
    pub(super) context: usize,
    pub(super) held_out: HeldOutText,
    pub(super) searched: MethodLoss,
    /// With their differences to `searched`.
    pub(super) baselines: Vec<MethodLoss>,
    pub(super) passkeys_in_window: Option<f64>,
    pub(super) kind: ObjectiveKind,
    pub(super) adapted: Option<Adapted>,
}

impl Verdict {
    /// Puts what was measured into words.
    pub(super) fn new(judged: Judged) -> Self {
        let Judged {
            context,
            held_out,
            searched,
            baselines,
            passkeys_in_window,
            kind,
            adapted,
        } = judged;
        let (recommended, lines) = words(&Words {
            context,
            searched: &searched,
            baselines: &baselines,
            passkeys_in_window,
            kind,
            adapted: adapted.as_ref(),
        });
        Self {
            context,
            held_out,
            searched,
            baselines,
            adapted,
            passkeys_in_window,
            recommended,
            lines,
        }
    }
}
