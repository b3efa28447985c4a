//! What the scores of a search depend on, besides its settings.

use std::fmt;

/// An input of a search that must be the same when it is resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchInput {
    /// The model.
    Model,
    /// The type that the model is measured in.
    Precision,
    /// The layers that a RoPE is for.
    RopeLayers,
    /// The RoPE that the model has.
    OwnRope,
    /// How the model is adapted to candidates.
    Adapt,
    /// The text, or the samples of it.
    Text,
    /// What is minimized.
    Objective,
    /// The factors that ratios are searched for.
    Ground,
}

/// Several inputs in a sentence, after `another`.
pub(crate) fn listed(inputs: &[SearchInput]) -> String {
    let names: Vec<String> = inputs.iter().map(ToString::to_string).collect();
    names.join(", and with another ")
}

impl fmt::Display for SearchInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Model => "model",
            Self::Precision => "`precision`",
            Self::RopeLayers => "`rope-layers`",
            Self::OwnRope => "RoPE in the config.json of the model",
            Self::Adapt => "`search.adapt`",
            Self::Text => "text, or with other samples of it",
            Self::Objective => "objective",
            Self::Ground => "rope.json of `search.init`",
        })
    }
}
