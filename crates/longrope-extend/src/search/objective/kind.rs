//! What a search minimizes.

use serde::{Deserialize, Serialize};

/// What a search minimizes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ObjectiveKind {
    /// The loss on text.
    #[default]
    Perplexity,
    /// The loss on the answers to questions about needles (LongRoPE2, arXiv 2502.20082, section 3.2).
    Needle,
    /// A weighted mean of both.
    Combined,
}

impl ObjectiveKind {
    /// All kinds.
    const ALL: [Self; 3] = [Self::Perplexity, Self::Needle, Self::Combined];

    /// The kind with this [description](Self::description).
    pub fn of_description(description: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.description() == description)
    }

    /// A description for the provenance of factors.
    pub fn description(self) -> &'static str {
        match self {
            Self::Perplexity => "mean loss per token",
            Self::Needle => "mean loss per token of needle answers",
            Self::Combined => {
                "weighted mean of loss per token and loss per token of needle answers"
            }
        }
    }
}
