//! Objectives that are formulas.

use longrope_rope::AttentionScale;
use longrope_search::{Candidate, SearchConfig, SearchProblem};

/// 64 pairs, scale 32.
pub(crate) const LARGE: SearchProblem = SearchProblem {
    rotary_dim: 128,
    theta: 10_000.0,
    original_context: 4096,
    target_context: 131_072,
};

/// 8 pairs, scale 4.
pub(crate) const SMALL: SearchProblem = SearchProblem {
    rotary_dim: 16,
    theta: 10_000.0,
    original_context: 256,
    target_context: 1024,
};

/// A search of a few dozen candidates.
pub(crate) fn small_config() -> SearchConfig {
    SearchConfig {
        population: 16,
        mutations: 5,
        crossovers: 5,
        parents: 8,
        generations: 6,
        ..SearchConfig::default()
    }
}

/// The optimum of [`loss`]: unscaled, a ramp, scaled in full, as released factor tables look.
pub(crate) fn target(pair: usize, n_pairs: usize, scale: f64) -> f64 {
    let place = (pair as f64 / n_pairs as f64 - 0.3) / 0.4;
    1.0 + (scale - 1.0) * place.clamp(0.0, 1.0)
}

/// 0 at the optimum: [`target`], 8 start tokens, su. Rational, so the same on every platform.
pub(crate) fn loss(candidate: &Candidate, scale: f64) -> f64 {
    let factors = candidate.factors();
    let excess = factors.iter().enumerate().map(|(pair, factor)| {
        let target = target(pair, factors.len(), scale);
        let weight = 1.0 + (pair % 3) as f64;
        // Falls off both ways as a squared log distance does.
        weight * (factor - target).powi(2) / (factor * target)
    });
    let start_tokens = candidate.start_tokens.abs_diff(8) as f64 / 200.0;
    let attention = if candidate.attention == (AttentionScale::Su {}) {
        0.0
    } else {
        0.1
    };
    excess.sum::<f64>() / factors.len() as f64 + start_tokens + attention
}
