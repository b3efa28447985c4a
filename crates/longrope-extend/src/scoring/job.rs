//! What a worker measures.

use std::sync::Arc;

use longrope_rope::ResolvedRope;

use super::adaptation::AdaptJob;

/// Sequences of equal length to score together.
#[derive(Clone, Debug)]
pub struct ScoreJob {
    /// The sequences, token ids.
    pub sequences: Arc<[Vec<u32>]>,
    /// The first position whose token is scored.
    pub score_from: usize,
    /// The rotary embedding.
    pub rope: ResolvedRope,
    /// What is measured.
    pub measure: Measure,
    /// Positions of the tokens of each sequence; `None` for `0, 1, 2, …`.
    pub positions: Option<Arc<[Vec<usize>]>>,
    /// What the model is adapted to before; `None` to measure it as it is.
    pub adapt: Option<AdaptJob>,
}

/// What is measured for every scored token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Measure {
    /// Its negative log-likelihood, nats.
    Nats,
    /// 1 if another token is more likely at its position, else 0.
    Misses,
}

/// The measured value of every scored token, per sequence.
pub type Losses = Vec<Vec<f32>>;
