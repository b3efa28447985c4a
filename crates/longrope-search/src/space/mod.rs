//! The rules for candidates: bounds, grid, order and the lists of the discrete genes.

mod critical;
mod rules;

use longrope_rope::AttentionScale;

use crate::candidate::{Candidate, Grid, Shape, attention_key, to_u32};
use crate::error::{Error, Result};

pub use critical::CriticalParts;
pub(crate) use critical::CriticalSpace;

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
        let fail = |key, found: String, expected: &str| Err(invalid(key, found, expected));
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
            let found = "an empty list".to_owned();
            return fail("start-tokens", found, "at least one value");
        }
        check_attention(&attention)?;
        if let Some(critical) = &critical {
            check_critical(critical, n_pairs)?;
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

fn check_attention(policies: &[AttentionScale]) -> Result<()> {
    if policies.is_empty() {
        let found = "an empty list".to_owned();
        return Err(invalid("attention", found, "at least one policy"));
    }
    for policy in policies {
        if let AttentionScale::Constant { value } = *policy
            && !(value.is_finite() && value > 0.0)
        {
            return Err(invalid("attention", value.to_string(), "a positive number"));
        }
    }
    Ok(())
}

fn check_critical(critical: &CriticalParts, n_pairs: usize) -> Result<()> {
    let CriticalParts {
        first,
        last,
        unscaled,
        ..
    } = *critical;
    if !(1 <= first && first <= last && last < n_pairs) {
        let expected = format!("1 to {}, the smaller one first", n_pairs - 1);
        let found = format!("{first} to {last}");
        return Err(invalid("critical-min", found, &expected));
    }
    if unscaled >= first {
        let expected = format!("less than the smallest critical pair, {first}");
        return Err(invalid(
            "critical-unscaled",
            unscaled.to_string(),
            &expected,
        ));
    }
    Ok(())
}

/// The error for a key of a configuration.
fn invalid(key: &'static str, found: String, expected: &str) -> Error {
    Error::InvalidConfig {
        key,
        found,
        expected: expected.to_owned(),
    }
}

#[cfg(test)]
mod tests;
