//! The losses of a RoPE on the samples of a search.

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
}
