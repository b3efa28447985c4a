//! What an effective length is. Finding it is in `find.rs`.

use serde::{Deserialize, Serialize};

/// Part of the score at the original window that a context must keep, unless a score is given.
pub const KEPT_SHARE: f64 = 0.85;

/// Which score a context needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EffectiveRule {
    /// A share of the score at the original window.
    Share(f64),
    /// The same score at every context, from 0 to 1.
    Score(f64),
}

impl Default for EffectiveRule {
    fn default() -> Self {
        Self::Share(KEPT_SHARE)
    }
}

/// The longest context up to which a model keeps its score in a task under one RoPE.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EffectiveLength {
    /// Name of the task; `ruler` for the mean over the tasks of RULER that were run at every context from the
    /// original window on.
    pub task: String,
    /// Name of the RoPE.
    pub rope: String,
    /// The window that the model was trained on, tokens.
    pub original_context: usize,
    /// The score there; `None` if the task does not fit into it.
    pub original_score: Option<f64>,
    /// The score that every context needs; `None` if it depends on an unknown score.
    pub threshold: Option<f64>,
    /// The share of the original score that gave the threshold; `None` if the threshold was set.
    pub share: Option<f64>,
    /// The longest context such that it and all shorter tested ones, from the original window on, have that score,
    /// tokens; `None` if there is none.
    pub effective_context: Option<usize>,
    /// The longest context that was tested, tokens.
    pub longest_context: usize,
    /// Whether the score at the original window is no better than chance. No context can then be called effective.
    pub unable: bool,
}
