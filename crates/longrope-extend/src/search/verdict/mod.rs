//! The verdict after a search: its winner against the methods, on text and passkeys that it did not see.

pub(super) mod judged;
mod words;

use serde::{Deserialize, Serialize};

use crate::scoring::Adapted;
use crate::search::methods::loss::MethodLoss;

use judged::{HeldOutText, Judged, TriedInWindow};
use words::words;

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

impl Verdict {
    /// Puts what was measured into words.
    pub(super) fn new(judged: Judged) -> Self {
        let (recommended, lines) = words(&judged);
        let Judged {
            context,
            held_out,
            searched,
            baselines,
            passkeys_in_window,
            kind: _,
            adapted,
        } = judged;
        Self {
            context,
            held_out,
            searched,
            baselines,
            adapted,
            passkeys_in_window: passkeys_in_window.map(TriedInWindow::share),
            recommended,
            lines,
        }
    }
}
