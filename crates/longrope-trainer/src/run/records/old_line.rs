//! The lines of pretraining in files of version 0.1.

use serde::Deserialize;

use super::missing_number::{not_a_number, number};

/// A line of pretraining as version 0.1 wrote it.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OldLine {
    #[serde(rename_all = "kebab-case")]
    Eval {
        phase: String,
        step: usize,
        #[serde(deserialize_with = "number")]
        held_out_nll_nats: f64,
        passkeys: Option<f64>,
    },
    #[serde(rename_all = "kebab-case")]
    Step {
        phase: String,
        step: usize,
        #[serde(deserialize_with = "number", default = "not_a_number")]
        loss: f64,
        #[serde(deserialize_with = "number", default = "not_a_number")]
        nll_nats: f64,
        #[serde(deserialize_with = "number")]
        learning_rate: f64,
        #[serde(deserialize_with = "number", default = "not_a_number")]
        grad_norm: f64,
        tokens: usize,
        #[serde(deserialize_with = "number")]
        elapsed_secs: f64,
    },
}
