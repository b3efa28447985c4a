//! The part of a space that concerns critical pairs.

use crate::candidate::{Candidate, Shape, to_u32};

/// The rules for critical pairs. Below the critical pair, factors follow in closed form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CriticalParts {
    /// Smallest critical pair.
    pub first: usize,
    /// Largest critical pair.
    pub last: usize,
    /// Last pair that is not scaled, before `first`.
    pub unscaled: usize,
    /// Smallest factor from the critical pair on.
    pub min_factor: f64,
}

/// [`CriticalParts`] on the grid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct CriticalSpace {
    pub(crate) first: usize,
    pub(crate) last: usize,
    pub(crate) unscaled: usize,
    pub(crate) min_step: u32,
}

impl CriticalSpace {
    /// The candidate with the critical pair `pair`; below it, steps are the grid points nearest to the closed form.
    pub(crate) fn with_closed_form(self, mut candidate: Candidate, pair: usize) -> Candidate {
        candidate.shape = Shape::Critical {
            pair,
            unscaled: self.unscaled,
        };
        let (factors, grid) = (candidate.factors(), candidate.grid);
        for (step, factor) in candidate.steps[..pair].iter_mut().zip(factors) {
            *step = to_u32(grid.position(factor).round());
        }
        candidate
    }

    /// The candidate that differs least from the given one, by the sum of squared logarithms of ratios.
    pub(super) fn nearest(self, free: &Candidate) -> Candidate {
        let wanted = free.factors();
        let at = |pair: usize| {
            let mut candidate = free.clone();
            for step in &mut candidate.steps[pair..] {
                *step = (*step).max(self.min_step);
            }
            self.with_closed_form(candidate, pair)
        };
        let distance = |candidate: &Candidate| -> f64 {
            let pairs = candidate.factors().into_iter().zip(&wanted);
            pairs.map(|(a, b)| (a / b).ln().powi(2)).sum()
        };
        (self.first..=self.last)
            .map(at)
            .min_by(|a, b| distance(a).total_cmp(&distance(b)))
            .unwrap_or_else(|| at(self.first))
    }
}
