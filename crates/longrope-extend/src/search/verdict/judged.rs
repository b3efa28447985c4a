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

/// What was measured for a verdict, and the objective of the search.
pub(in crate::search) struct Judged {
    /// Tokens of a window and of a text with a passkey.
    pub(in crate::search) context: usize,
    pub(in crate::search) held_out: HeldOutText,
    pub(in crate::search) searched: MethodLoss,
    /// With their differences to `searched`.
    pub(in crate::search) baselines: Vec<MethodLoss>,
    pub(in crate::search) passkeys_in_window: Option<f64>,
    pub(in crate::search) kind: ObjectiveKind,
    /// How the model was adapted to each RoPE before, if it was.
    pub(in crate::search) adapted: Option<Adapted>,
}
