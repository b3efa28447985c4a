//! Which windows a model is trained on: the keys of `[train.data]`.

use longrope_data::{LengthWeight, Overflow};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Which windows a model is trained on. Shares are relative to each other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct TrainDataConfig {
    /// Share of text under the rescaled RoPE.
    pub text: f64,
    /// Share of text in pieces of the original context under the original RoPE; pieces do not attend to each other.
    pub short: f64,
    /// Share of generated passkey documents.
    pub passkey: f64,
    /// Share of generated documents of facts and questions.
    pub recall: f64,
    /// Share of generated repetitions.
    pub copying: f64,
    /// Tokens of the shortest generated documents; by default each fills a window.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shortest_document: Option<usize>,
    /// Loss weight of a token of a generated answer; other tokens have weight 1.
    pub answer_weight: f32,
    /// What happens to the rest of a document that does not fit into a window.
    pub overflow: Overflow,
    /// How often documents occur, by length.
    pub length_weights: Vec<LengthWeight>,
}

impl TrainDataConfig {
    /// Whether texts are generated. Repetitions are of tokens, not of text.
    pub fn has_generated_text(&self) -> bool {
        self.passkey > 0.0 || self.recall > 0.0
    }

    /// Whether any documents are generated.
    pub fn has_generated(&self) -> bool {
        self.has_generated_text() || self.copying > 0.0
    }

    pub(super) fn validate(&self) -> Result<()> {
        for (key, found) in [
            ("train.data.text", self.text),
            ("train.data.short", self.short),
            ("train.data.passkey", self.passkey),
            ("train.data.recall", self.recall),
            ("train.data.copying", self.copying),
        ] {
            if !found.is_finite() || found < 0.0 {
                return Err(Error::setting(key, &found, "a share of 0 or more"));
            }
        }
        Ok(())
    }
}

impl Default for TrainDataConfig {
    fn default() -> Self {
        Self {
            text: 1.0,
            short: 0.0,
            passkey: 0.0,
            recall: 0.0,
            copying: 0.0,
            shortest_document: None,
            answer_weight: 8.0,
            overflow: Overflow::Continue,
            length_weights: Vec::new(),
        }
    }
}
