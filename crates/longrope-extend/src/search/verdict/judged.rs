//! What a verdict is made from.

use serde::{Deserialize, Serialize};

use crate::scoring::Adapted;
use crate::search::methods::loss::MethodLoss;
use crate::search::objective::kind::ObjectiveKind;

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

/// Passkeys that were tried within the window of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::search) struct TriedInWindow {
    pub(in crate::search) n_found: usize,
    pub(in crate::search) n_tried: usize,
}

impl TriedInWindow {
    /// The share that was found, 0 to 1.
    pub(in crate::search) fn share(self) -> f64 {
        self.n_found as f64 / self.n_tried as f64
    }
}

/// What was measured for a verdict, and the objective of the search.
pub(in crate::search) struct Judged {
    /// Tokens of a window and of a text with a passkey.
    pub(in crate::search) context: usize,
    pub(in crate::search) held_out: HeldOutText,
    pub(in crate::search) searched: MethodLoss,
    /// With their differences to `searched`.
    pub(in crate::search) baselines: Vec<MethodLoss>,
    /// `None` if none were tried.
    pub(in crate::search) passkeys_in_window: Option<TriedInWindow>,
    pub(in crate::search) kind: ObjectiveKind,
    /// How the model was adapted to each RoPE before, if it was.
    pub(in crate::search) adapted: Option<Adapted>,
}
