//! The frequencies of one sequence, fixed.

use crate::{AnglePrecision, SelfExtend};

/// The frequencies of one whole sequence, made by [`RopeSpec::resolve`](crate::RopeSpec::resolve).
///
/// Two sequences may share a key-value cache only if their `ResolvedRope`s are equal.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedRope {
    pub(crate) inv_freq: Vec<f64>,
    /// Plain frequencies for the start tokens; empty when there are none.
    pub(crate) start_inv_freq: Vec<f64>,
    pub(crate) start_tokens: usize,
    pub(crate) attention_scale: f64,
    pub(crate) precision: AnglePrecision,
    pub(crate) self_extend: Option<SelfExtend>,
}

impl ResolvedRope {
    /// The frequency of each pair, in rad per token, for positions from [`start_tokens`](Self::start_tokens) on.
    pub fn inv_freq(&self) -> &[f64] {
        &self.inv_freq
    }

    /// The frequencies at `position`: the plain ones for start tokens.
    pub fn inv_freq_at(&self, position: usize) -> &[f64] {
        if position < self.start_tokens {
            &self.start_inv_freq
        } else {
            &self.inv_freq
        }
    }

    /// Number of leading positions `n̂` that keep their plain angles.
    pub fn start_tokens(&self) -> usize {
        self.start_tokens
    }

    /// The number that multiplies cos and sin at every position.
    pub fn attention_scale(&self) -> f64 {
        self.attention_scale
    }

    /// Number of rotated pairs of dimensions.
    pub fn n_pairs(&self) -> usize {
        self.inv_freq.len()
    }

    /// Number of rotated dimensions of a head.
    pub fn rotary_dim(&self) -> usize {
        2 * self.inv_freq.len()
    }

    /// The arithmetic of the angles.
    pub fn precision(&self) -> AnglePrecision {
        self.precision
    }
}
