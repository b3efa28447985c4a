//! The losses of a RoPE on the samples of a search.

use longrope_eval::{Difference, paired_scores};
use serde::{Deserialize, Serialize};

/// The losses of a RoPE on the samples of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodLoss {
    /// Name of the RoPE.
    pub method: String,
    /// Fingerprint of the RoPE; `None` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_fingerprint: Option<String>,
    /// Mean loss on text, nats per token.
    pub nll_nats: f64,
    /// Mean loss on the answers of needle texts, nats per token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_nats: Option<f64>,
    /// Share of passkeys that greedy generation finds: each token of the key is the most likely one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey_accuracy: Option<f64>,
    /// Mean loss on each sample of text, nats per token; empty in older files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub text_nats: Vec<f64>,
    /// For each passkey, 1 if it was found, else 0; empty in older files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passkeys_found: Vec<u8>,
    /// Its loss on text minus that of the winner, on the same samples; `None` for the winner and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Its share of passkeys minus that of the winner, on the same passkeys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passkey_difference: Option<Difference>,
}

impl MethodLoss {
    /// Adds the differences to another RoPE that was measured on the same samples.
    pub(crate) fn compared_with(self, reference: &Self) -> Self {
        Self {
            difference: self.text_difference_to(reference),
            passkey_difference: self.passkey_difference_to(reference),
            ..self
        }
    }

    /// Its loss on text minus that of another RoPE; `None` if they were not measured on the same samples.
    pub(crate) fn text_difference_to(&self, reference: &Self) -> Option<Difference> {
        let is_paired =
            !self.text_nats.is_empty() && self.text_nats.len() == reference.text_nats.len();
        is_paired.then(|| paired_scores(&self.text_nats, &reference.text_nats, &reference.method))
    }

    /// Its share of passkeys minus that of another RoPE; `None` if they were not tried on the same passkeys.
    pub(crate) fn passkey_difference_to(&self, reference: &Self) -> Option<Difference> {
        let found = |loss: &Self| -> Vec<f64> {
            let found = loss.passkeys_found.iter();
            found.map(|found| f64::from(*found)).collect()
        };
        let (mine, theirs) = (found(self), found(reference));
        let is_paired = !mine.is_empty() && mine.len() == theirs.len();
        is_paired.then(|| paired_scores(&mine, &theirs, &reference.method))
    }

    /// Number of passkeys that it finds, of those that were tried; 0 in older files.
    pub fn n_passkeys(&self) -> usize {
        let found = self.passkeys_found.iter();
        found.map(|found| usize::from(*found)).sum()
    }
}
