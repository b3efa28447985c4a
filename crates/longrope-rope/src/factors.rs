//! The numbers that LongRoPE searches for: one divisor per pair of dimensions.

use serde::{Deserialize, Serialize};

use crate::{AttentionScale, Error, Result};

/// Rescale factors `λ_i`, one per pair: `λ_i` divides the frequency of pair `i`.
///
/// Every factor is finite and above 0. Factors usually start near 1 and grow with `i`. This is not required, because
/// published factors of Mistral models decrease in places; see [`first_decrease`](Self::first_decrease).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Vec<f64>", into = "Vec<f64>")]
pub struct RescaleFactors(Vec<f64>);

impl RescaleFactors {
    /// Takes the factors of all pairs, pair 0 (the fastest) first.
    ///
    /// # Errors
    /// [`Error::Factor`] names the first factor that is zero, negative, infinite or not a number.
    pub fn new(factors: Vec<f64>) -> Result<Self> {
        match factors
            .iter()
            .position(|factor| !(factor.is_finite() && *factor > 0.0))
        {
            Some(index) => Err(Error::Factor {
                index,
                found: factors[index],
            }),
            None => Ok(Self(factors)),
        }
    }

    /// `n_pairs` factors of 1: plain RoPE.
    pub fn ones(n_pairs: usize) -> Self {
        Self(vec![1.0; n_pairs])
    }

    /// The factors, pair 0 first.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Number of factors, one per pair.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no factors.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first index whose factor is below the factor before it; `None` if the factors never decrease.
    pub fn first_decrease(&self) -> Option<usize> {
        self.0
            .windows(2)
            .position(|pair| pair[1] < pair[0])
            .map(|index| index + 1)
    }
}

impl TryFrom<Vec<f64>> for RescaleFactors {
    type Error = Error;

    fn try_from(factors: Vec<f64>) -> Result<Self> {
        Self::new(factors)
    }
}

impl From<RescaleFactors> for Vec<f64> {
    fn from(factors: RescaleFactors) -> Self {
        factors.0
    }
}

/// The factors for sequences of up to `max_context` tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FactorSet {
    /// Longest sequence the set is for, in tokens.
    pub max_context: usize,
    /// Leading positions `n̂` whose angles are not rescaled.
    pub start_tokens: usize,
    /// One factor per pair.
    pub factors: RescaleFactors,
    /// The set's own attention-scale policy, evaluated at its own `max_context`. Without one, the policy of the whole
    /// RoPE applies, evaluated at the largest context.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<AttentionScale>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_factor_is_named_by_its_index() {
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = RescaleFactors::new(vec![1.0, bad, 1.0]).unwrap_err();
            assert!(matches!(error, Error::Factor { index: 1, .. }), "{error}");
        }
        let error = RescaleFactors::new(vec![1.0, -2.5]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "rescale factor 1 is -2.5, expected a finite number above 0"
        );
    }

    #[test]
    fn a_decrease_is_reported_not_refused() {
        assert_eq!(
            RescaleFactors::new(vec![1.0, 1.0, 2.0])
                .unwrap()
                .first_decrease(),
            None
        );
        assert_eq!(
            RescaleFactors::new(vec![1.0, 1.5, 1.4, 1.3])
                .unwrap()
                .first_decrease(),
            Some(2)
        );
    }

    #[test]
    fn json_is_checked_while_it_is_read() {
        assert!(serde_json::from_str::<RescaleFactors>("[1.0, 2]").is_ok());
        let error = serde_json::from_str::<RescaleFactors>("[1.0, 0.0]").unwrap_err();
        assert!(error.to_string().contains("rescale factor 1"), "{error}");
    }
}
