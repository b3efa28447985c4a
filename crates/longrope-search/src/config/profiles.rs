//! Settings of published searches, and a faster one.

use longrope_rope::AttentionScale;

use super::{AttentionSearch, Operators, SearchConfig};
use crate::seed::Seed;

impl SearchConfig {
    /// The search of the code released with LongRoPE: one seed, the bound 1 + s, no start tokens, the attention scale
    /// `su`, and its operators. `piece` selects `dim_piece_mono` instead of `dim_mono`.
    ///
    /// # Reference
    /// github.com/microsoft/LongRoPE, `evolution`.
    pub fn official(piece: bool) -> Self {
        Self {
            operators: if piece {
                Operators::DimPieceMono
            } else {
                Operators::DimMono
            },
            halve_beyond: usize::MAX >> 1,
            max_factor_ratio: 1.0,
            max_factor_extra: 1.0,
            start_tokens: vec![0],
            attention: AttentionSearch::Fixed {
                policy: AttentionScale::Su {},
            },
            seeds: vec![Seed::LinearRamp],
            ..Self::default()
        }
    }

    /// A good choice for most purposes: the paper's space, a quarter of its candidates, and operators that measured
    /// better. The measurements are in `book/src/log.md` of the repository.
    pub fn fast() -> Self {
        Self {
            population: 32,
            mutations: 8,
            crossovers: 8,
            generations: 20,
            parents: 12,
            racing_strictness: 3.0,
            smooth_share: 0.5,
            difference_share: 0.5,
            surrogate_pool: 8,
            ..Self::default()
        }
    }

    /// LongRoPE2's search: critical pairs, factors from s to 2s above, the closed form below, no start tokens.
    ///
    /// # Reference
    /// LongRoPE2, arXiv 2502.20082, algorithm 1. It does not describe its crossover; this crate's is used.
    pub fn v2() -> Self {
        Self {
            operators: Operators::Critical,
            max_factor_ratio: 2.0,
            start_tokens: vec![0],
            attention: AttentionSearch::Fixed {
                policy: AttentionScale::Su {},
            },
            ..Self::default()
        }
    }
}
