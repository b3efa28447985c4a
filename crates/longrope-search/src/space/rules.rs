//! Whether a candidate is in a space, and if not, why.

use super::{CriticalSpace, Space};
use crate::candidate::{Candidate, Shape};

impl Space {
    /// Whether a candidate satisfies all rules.
    pub fn contains(&self, candidate: &Candidate) -> bool {
        self.violation(candidate).is_none()
    }

    /// The first rule that a candidate violates, as (found, expected).
    pub(crate) fn violation(&self, candidate: &Candidate) -> Option<(String, String)> {
        let (n_found, grid) = (candidate.steps.len(), self.grid.steps_per_unit());
        if n_found != self.n_pairs {
            return Some((format!("{n_found} factors"), self.n_pairs.to_string()));
        }
        if candidate.grid != self.grid {
            let found = candidate.grid.steps_per_unit();
            return Some((
                format!("a grid of {found} steps per unit"),
                grid.to_string(),
            ));
        }
        if let Some(found) = self.shape_violation(candidate) {
            return Some(found);
        }
        let bounds = self.min_step..=self.max_step;
        if let Some(pair) = candidate
            .steps
            .iter()
            .position(|step| !bounds.contains(step))
        {
            let (low, high) = (
                self.grid.factor(self.min_step),
                self.grid.factor(self.max_step),
            );
            let found = self.grid.factor(candidate.steps[pair]);
            return Some((
                format!("factor {found} at pair {pair}"),
                format!("{low} to {high}"),
            ));
        }
        if let Some(pair) = candidate
            .steps
            .windows(2)
            .position(|pair| pair[0] > pair[1])
        {
            return Some((
                format!("a factor that decreases after pair {pair}"),
                "factors that never decrease".to_owned(),
            ));
        }
        if !self.start_tokens.contains(&candidate.start_tokens) {
            return Some((
                format!("{} start tokens", candidate.start_tokens),
                format!("one of {:?}", self.start_tokens),
            ));
        }
        if !self.allows(candidate.attention) {
            return Some((
                format!("attention policy {:?}", candidate.attention),
                format!("one of {:?}", self.attention),
            ));
        }
        None
    }

    /// The first rule for critical pairs that a candidate violates, as (found, expected).
    fn shape_violation(&self, candidate: &Candidate) -> Option<(String, String)> {
        let Some(critical) = self.critical else {
            let Shape::Critical { pair, .. } = candidate.shape else {
                return None;
            };
            return Some((format!("critical pair {pair}"), "none".to_owned()));
        };
        let CriticalSpace {
            first,
            last,
            min_step,
            ..
        } = critical;
        let expected = format!("a critical pair from {first} to {last}");
        let Shape::Critical { pair, .. } = candidate.shape else {
            return Some(("no critical pair".to_owned(), expected));
        };
        if !(first..=last).contains(&pair) {
            return Some((format!("critical pair {pair}"), expected));
        }
        if candidate.steps[pair] < min_step {
            let (found, low) = (candidate.steps[pair], self.grid.factor(min_step));
            return Some((
                format!("factor {} at the critical pair", self.grid.factor(found)),
                format!("at least {low}"),
            ));
        }
        (critical.with_closed_form(candidate.clone(), pair) != *candidate).then(|| {
            (
                format!("other factors below the critical pair {pair}"),
                "those of the closed form".to_owned(),
            )
        })
    }
}
