//! The rules for candidates: bounds, grid, order and the lists of the discrete genes.

use longrope_rope::AttentionScale;

use crate::candidate::{Candidate, Grid, Shape, attention_key, to_u32};
use crate::error::{Error, Result};

/// Slack in grid steps when a bound is put on the grid, so that `1.25 * 32` does not lose its last step to rounding.
const BOUND_SLACK: f64 = 1e-6;

/// The parts of a [`Space`], not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct SpaceParts {
    /// Number of rescale factors.
    pub n_pairs: usize,
    /// Grid step of a factor.
    pub step: f64,
    /// Smallest factor allowed.
    pub min_factor: f64,
    /// Largest factor allowed.
    pub max_factor: f64,
    /// Start tokens to choose from.
    pub start_tokens: Vec<usize>,
    /// Attention-scale policies to choose from.
    pub attention: Vec<AttentionScale>,
    /// Set if candidates have a critical pair.
    pub critical: Option<CriticalParts>,
}

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
    fn nearest(self, free: &Candidate) -> Candidate {
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

/// The search space: non-decreasing factors on a grid between two bounds, start tokens and a policy from lists.
///
/// # Reference
/// LongRoPE, arXiv 2402.13753, table 4; the order of the factors is its monotone constraint. Attention
/// policies are not part of the paper's space.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    n_pairs: usize,
    grid: Grid,
    min_step: u32,
    max_step: u32,
    start_tokens: Vec<usize>,
    attention: Vec<AttentionScale>,
    critical: Option<CriticalSpace>,
}

impl Space {
    /// Checks the parts and rounds the bounds to the grid.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if the space would be empty or a number is out of range.
    pub fn new(parts: SpaceParts) -> Result<Self> {
        let fail = |key, found: String, expected: &str| {
            Err(Error::InvalidConfig {
                key,
                found,
                expected: expected.to_owned(),
            })
        };
        let SpaceParts {
            n_pairs,
            step,
            min_factor,
            max_factor,
            start_tokens,
            attention,
            critical,
        } = parts;
        let grid = Grid::new(step)?;
        if n_pairs == 0 {
            return fail("n-pairs", "0".to_owned(), "at least 1");
        }
        if !(min_factor.is_finite() && min_factor > 0.0) {
            return fail("min-factor", min_factor.to_string(), "a positive number");
        }
        let min = (grid.position(min_factor) - BOUND_SLACK).ceil();
        let max = (grid.position(max_factor) + BOUND_SLACK).floor();
        if !(max.is_finite() && max >= min && max <= f64::from(u32::MAX)) {
            let expected = format!(
                "at least {min_factor}, the smallest factor, and countable in steps of {step}"
            );
            return fail("max-factor", max_factor.to_string(), &expected);
        }
        if start_tokens.is_empty() {
            return fail(
                "start-tokens",
                "an empty list".to_owned(),
                "at least one value",
            );
        }
        if attention.is_empty() {
            return fail(
                "attention",
                "an empty list".to_owned(),
                "at least one policy",
            );
        }
        for policy in &attention {
            if let AttentionScale::Constant { value } = *policy
                && !(value.is_finite() && value > 0.0)
            {
                return fail("attention", value.to_string(), "a positive number");
            }
        }
        if let Some(CriticalParts {
            first,
            last,
            unscaled,
            ..
        }) = critical
        {
            if !(1 <= first && first <= last && last < n_pairs) {
                let expected = format!("1 to {}, the smaller one first", n_pairs - 1);
                return fail("critical-min", format!("{first} to {last}"), &expected);
            }
            if unscaled >= first {
                let expected = format!("less than the smallest critical pair, {first}");
                return fail("critical-unscaled", unscaled.to_string(), &expected);
            }
        }
        let on_grid = |parts: CriticalParts| CriticalSpace {
            first: parts.first,
            last: parts.last,
            unscaled: parts.unscaled,
            min_step: to_u32((grid.position(parts.min_factor) - BOUND_SLACK).ceil())
                .clamp(to_u32(min), to_u32(max)),
        };
        Ok(Self {
            n_pairs,
            grid,
            min_step: to_u32(min),
            max_step: to_u32(max),
            start_tokens,
            attention,
            critical: critical.map(on_grid),
        })
    }

    /// The rules for critical pairs, if candidates have one.
    pub(crate) fn critical(&self) -> Option<CriticalSpace> {
        self.critical
    }

    /// Number of rescale factors.
    pub fn n_pairs(&self) -> usize {
        self.n_pairs
    }

    /// The grid of the factors.
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// Smallest and largest factor, in grid steps.
    pub fn bounds(&self) -> (u32, u32) {
        (self.min_step, self.max_step)
    }

    /// Start tokens to choose from.
    pub fn start_tokens(&self) -> &[usize] {
        &self.start_tokens
    }

    /// Attention-scale policies to choose from.
    pub fn attention(&self) -> &[AttentionScale] {
        &self.attention
    }

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

    /// Whether a policy is in the list, compared by bits.
    fn allows(&self, attention: AttentionScale) -> bool {
        self.attention
            .iter()
            .any(|&allowed| attention_key(allowed) == attention_key(attention))
    }

    /// Adds a policy to the list unless it is already there.
    pub fn allow(&mut self, attention: AttentionScale) {
        if !self.allows(attention) {
            self.attention.push(attention);
        }
    }

    /// The candidate of this space that is nearest to the given values.
    ///
    /// Factors are rounded to the grid, clamped to the bounds, and raised where they would be below the factor before
    /// them. Start tokens become the nearest value of the list (the smaller of two equally near). In a space with critical
    /// pairs, the critical pair whose closed form is nearest is chosen. The policy is not changed, so the result is in the
    /// space if the policy is in its list.
    ///
    /// # Errors
    /// [`Error::FactorCount`] for a vector of the wrong length, [`Error::FactorValue`] for a factor that is not finite.
    pub fn nearest(
        &self,
        factors: &[f64],
        start_tokens: usize,
        attention: AttentionScale,
    ) -> Result<Candidate> {
        if factors.len() != self.n_pairs {
            return Err(Error::FactorCount {
                found: factors.len(),
                expected: self.n_pairs,
            });
        }
        let mut floor = self.min_step;
        let mut steps = Vec::with_capacity(self.n_pairs);
        for (pair, &factor) in factors.iter().enumerate() {
            if !factor.is_finite() {
                return Err(Error::FactorValue {
                    pair,
                    found: factor,
                });
            }
            let step = to_u32(self.grid.position(factor).round().max(0.0));
            floor = step.clamp(floor, self.max_step);
            steps.push(floor);
        }
        let start_tokens = self
            .start_tokens
            .iter()
            .copied()
            .min_by_key(|&allowed| (allowed.abs_diff(start_tokens), allowed))
            .unwrap_or(start_tokens);
        let candidate = Candidate {
            grid: self.grid,
            steps,
            shape: Shape::Free,
            start_tokens,
            attention,
        };
        Ok(match self.critical {
            None => candidate,
            Some(critical) => critical.nearest(&candidate),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts() -> SpaceParts {
        SpaceParts {
            n_pairs: 4,
            step: 0.01,
            min_factor: 1.0,
            max_factor: 40.0,
            start_tokens: vec![0, 4, 8],
            attention: vec![AttentionScale::None {}, AttentionScale::Su {}],
            critical: None,
        }
    }

    fn space() -> Space {
        Space::new(parts()).expect("valid parts")
    }

    #[test]
    fn bounds_are_grid_points() {
        assert_eq!(space().bounds(), (100, 4000));
        // 1.25 * 1.1 is not a grid point: the bound is the one below.
        let odd = Space::new(SpaceParts {
            max_factor: 1.25 * 1.1,
            ..parts()
        })
        .expect("valid parts");
        assert_eq!(odd.bounds(), (100, 137));
    }

    #[test]
    fn nearest_rounds_clamps_and_raises() {
        let nearest = space()
            .nearest(&[0.2, 3.004, 2.0, 99.0], 6, AttentionScale::Su {})
            .expect("finite");
        assert_eq!(nearest.steps, [100, 300, 300, 4000]);
        assert_eq!(nearest.start_tokens, 4);
        assert!(space().contains(&nearest));
    }

    #[test]
    fn nearest_refuses_what_it_cannot_place() {
        let attention = AttentionScale::None {};
        let short = space().nearest(&[1.0; 3], 0, attention);
        assert!(matches!(
            short,
            Err(Error::FactorCount {
                found: 3,
                expected: 4
            })
        ));
        let nan = space().nearest(&[1.0, 1.0, f64::NAN, 1.0], 0, attention);
        assert!(matches!(nan, Err(Error::FactorValue { pair: 2, .. })));
    }

    #[test]
    fn every_rule_is_enforced() {
        let good = space()
            .nearest(&[1.0, 2.0, 3.0, 4.0], 0, AttentionScale::Su {})
            .expect("finite");
        let bad = [
            Candidate {
                steps: vec![100; 3],
                ..good.clone()
            },
            Candidate {
                steps: vec![99, 200, 300, 400],
                ..good.clone()
            },
            Candidate {
                steps: vec![100, 200, 300, 4001],
                ..good.clone()
            },
            Candidate {
                steps: vec![100, 300, 200, 400],
                ..good.clone()
            },
            Candidate {
                grid: Grid::new(0.02).expect("divides 1"),
                ..good.clone()
            },
            Candidate {
                start_tokens: 5,
                ..good.clone()
            },
            Candidate {
                attention: AttentionScale::Yarn {},
                ..good.clone()
            },
        ];
        assert!(space().contains(&good));
        for candidate in bad {
            assert!(!space().contains(&candidate), "{candidate:?}");
        }
    }

    #[test]
    fn critical_pairs_leave_one_form_below_them() {
        let space = Space::new(SpaceParts {
            max_factor: 8.0,
            critical: Some(CriticalParts {
                first: 1,
                last: 2,
                unscaled: 0,
                min_factor: 4.0,
            }),
            ..parts()
        })
        .expect("valid parts");
        let attention = AttentionScale::Su {};
        let nearest = space
            .nearest(&[1.0, 2.1, 4.2, 5.0], 0, attention)
            .expect("finite");
        let shape = |pair, unscaled| Shape::Critical { pair, unscaled };
        assert_eq!(nearest.shape, shape(2, 0));
        assert_eq!(nearest.steps, [100, 205, 420, 500]); // 4.2^(1/2) is 2.049
        assert!(space.contains(&nearest));
        let low = space.nearest(&[1.0; 4], 0, attention).expect("finite");
        assert_eq!(&low.steps[2..], [400, 400]);
        for bad in [
            Candidate {
                shape: Shape::Free,
                ..nearest.clone()
            },
            Candidate {
                shape: shape(3, 0),
                ..nearest.clone()
            },
            Candidate {
                shape: shape(2, 1),
                ..nearest.clone()
            },
            Candidate {
                steps: vec![100, 206, 420, 500],
                ..nearest.clone()
            },
            Candidate {
                steps: vec![100, 173, 300, 500],
                ..nearest.clone()
            },
        ] {
            assert!(!space.contains(&bad), "{bad:?}");
        }
    }

    #[test]
    fn empty_spaces_are_refused() {
        let bad = [
            (
                "n-pairs",
                SpaceParts {
                    n_pairs: 0,
                    ..parts()
                },
            ),
            (
                "min-factor",
                SpaceParts {
                    min_factor: 0.0,
                    ..parts()
                },
            ),
            (
                "max-factor",
                SpaceParts {
                    max_factor: 0.5,
                    ..parts()
                },
            ),
            (
                "max-factor",
                SpaceParts {
                    max_factor: f64::NAN,
                    ..parts()
                },
            ),
            (
                "max-factor",
                SpaceParts {
                    max_factor: 1e12,
                    ..parts()
                },
            ),
            (
                "start-tokens",
                SpaceParts {
                    start_tokens: vec![],
                    ..parts()
                },
            ),
            (
                "attention",
                SpaceParts {
                    attention: vec![],
                    ..parts()
                },
            ),
            (
                "attention",
                SpaceParts {
                    attention: vec![AttentionScale::Constant { value: -1.0 }],
                    ..parts()
                },
            ),
        ];
        for (expected, parts) in bad {
            let result = Space::new(parts);
            assert!(
                matches!(result, Err(Error::InvalidConfig { key, .. }) if key == expected),
                "{expected}"
            );
        }
    }

    proptest! {
        #[test]
        fn nearest_is_inside_and_leaves_members_alone(
            factors in prop::collection::vec(-10.0..100.0_f64, 4),
            start_tokens in 0_usize..1000,
        ) {
            let space = space();
            let once = space.nearest(&factors, start_tokens, AttentionScale::None {}).expect("finite");
            prop_assert!(space.contains(&once));
            let twice = space.nearest(&once.factors(), once.start_tokens, once.attention).expect("finite");
            prop_assert_eq!(once, twice);
        }
    }
}
