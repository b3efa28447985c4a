//! From settings to the search space of a problem.

use longrope_rope::pair_of_period;

use super::{Operators, SearchConfig};
use crate::error::Result;
use crate::problem::SearchProblem;
use crate::space::{CriticalParts, Space, SpaceParts};

/// Grid step of the candidates of the official operators: so fine that it has no effect.
const OFFICIAL_GRID: f64 = 1e-6;

impl SearchConfig {
    /// The search space of a problem with these settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) or [`Error::InvalidProblem`](crate::Error::InvalidProblem) if
    /// either is out of range.
    pub fn space(&self, problem: &SearchProblem) -> Result<Space> {
        problem.validate()?;
        self.validate()?;
        let official = matches!(self.operators, Operators::DimMono | Operators::DimPieceMono);
        let scale = problem.scale();
        let max_factor = self.max_factor_ratio * scale + self.max_factor_extra;
        Space::new(SpaceParts {
            n_pairs: problem.n_pairs(),
            // The official code draws in steps from the factors of the parents, which lie between grid points.
            step: if official { OFFICIAL_GRID } else { self.step },
            min_factor: 1.0,
            // Its ranges sometimes exceed the bound by a step.
            max_factor: if official {
                max_factor + 3.0 * self.step
            } else {
                max_factor
            },
            start_tokens: self.start_tokens.clone(),
            attention: self.policies(),
            critical: (self.operators == Operators::Critical).then(|| self.critical(problem)),
        })
    }

    /// Which pairs may be critical, and the smallest factor from there on.
    fn critical(&self, problem: &SearchProblem) -> CriticalParts {
        let of_periods = |periods| {
            let SearchProblem {
                rotary_dim,
                theta,
                original_context,
                ..
            } = *problem;
            let pair = pair_of_period(rotary_dim, theta, original_context, periods);
            pair.clamp(1, problem.n_pairs() - 1)
        };
        CriticalParts {
            first: self.critical_min.unwrap_or_else(|| of_periods(10.0)),
            last: self.critical_max.unwrap_or_else(|| of_periods(1.0)),
            unscaled: self.critical_unscaled,
            min_factor: problem.scale(),
        }
    }
}
