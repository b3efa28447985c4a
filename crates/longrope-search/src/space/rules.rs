//! Whether a candidate is in a space, and if not, why.

use super::{CriticalSpace, Space};
use crate::candidate::{Candidate, Shape};

/// A rule that a candidate violates.
#[derive(Debug)]
pub(crate) struct Violation {
    /// The key of the settings that makes the rule; `None` if none does.
    pub(crate) key: Option<&'static str>,
    pub(crate) found: String,
    pub(crate) expected: String,
}

impl Violation {
    fn new(key: &'static str, found: String, expected: String) -> Self {
        Self {
            key: Some(key),
            found,
            expected,
        }
    }

    fn without_key(found: String, expected: String) -> Self {
        Self {
            key: None,
            found,
            expected,
        }
    }
}

impl Space {
    /// Whether a candidate satisfies all rules.
    pub fn contains(&self, candidate: &Candidate) -> bool {
        self.violation(candidate).is_none()
    }

    /// The first rule that a candidate violates.
    pub(crate) fn violation(&self, candidate: &Candidate) -> Option<Violation> {
        let (n_found, grid) = (candidate.steps.len(), self.grid.steps_per_unit());
        if n_found != self.n_pairs {
            let found = format!("{n_found} factors");
            return Some(Violation::without_key(found, self.n_pairs.to_string()));
        }
        if candidate.grid != self.grid {
            let found = candidate.grid.steps_per_unit();
            let found = format!("a grid of {found} steps per unit");
            return Some(Violation::new("step", found, grid.to_string()));
        }
        if let Some(found) = self.shape_violation(candidate) {
            return Some(found);
        }
        if let Some(found) = self.factor_violation(candidate) {
            return Some(found);
        }
        if !self.start_tokens.contains(&candidate.start_tokens) {
            return Some(Violation::new(
                "start-tokens",
                format!("{} start tokens", candidate.start_tokens),
                format!("one of {:?}", self.start_tokens),
            ));
        }
        if !self.allows(candidate.attention) {
            return Some(Violation::new(
                "attention",
                format!("attention policy {:?}", candidate.attention),
                format!("one of {:?}", self.attention),
            ));
        }
        None
    }

    /// The first factor that is out of bounds or out of order.
    fn factor_violation(&self, candidate: &Candidate) -> Option<Violation> {
        let bounds = self.min_step..=self.max_step;
        let mut steps = candidate.steps.iter();
        if let Some(pair) = steps.position(|step| !bounds.contains(step)) {
            let (low, high) = (
                self.grid.factor(self.min_step),
                self.grid.factor(self.max_step),
            );
            let found = self.grid.factor(candidate.steps[pair]);
            return Some(Violation::new(
                "max-factor-ratio",
                format!("factor {found} at pair {pair}"),
                format!("{low} to {high}"),
            ));
        }
        let mut pairs = candidate.steps.windows(2);
        let pair = pairs.position(|pair| pair[0] > pair[1])?;
        Some(Violation::without_key(
            format!("a factor that decreases after pair {pair}"),
            "factors that never decrease".to_owned(),
        ))
    }

    /// The first rule for critical pairs that a candidate violates.
    fn shape_violation(&self, candidate: &Candidate) -> Option<Violation> {
        let violation =
            |found: String, expected: String| Some(Violation::new("operators", found, expected));
        let Some(critical) = self.critical else {
            let Shape::Critical { pair, .. } = candidate.shape else {
                return None;
            };
            return violation(format!("critical pair {pair}"), "none".to_owned());
        };
        let CriticalSpace {
            first,
            last,
            min_step,
            ..
        } = critical;
        let expected = format!("a critical pair from {first} to {last}");
        let Shape::Critical { pair, .. } = candidate.shape else {
            return violation("no critical pair".to_owned(), expected);
        };
        if !(first..=last).contains(&pair) {
            return violation(format!("critical pair {pair}"), expected);
        }
        if candidate.steps[pair] < min_step {
            let (found, low) = (candidate.steps[pair], self.grid.factor(min_step));
            return violation(
                format!("factor {} at the critical pair", self.grid.factor(found)),
                format!("at least {low}"),
            );
        }
        if critical.with_closed_form(candidate.clone(), pair) == *candidate {
            return None;
        }
        violation(
            format!("other factors below the critical pair {pair}"),
            "those of the closed form".to_owned(),
        )
    }
}
