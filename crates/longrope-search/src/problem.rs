//! The problem of a search: a RoPE and the context to extend it to.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The RoPE of a model and the context to extend it to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchProblem {
    /// Rotated dimensions of a head; even.
    pub rotary_dim: usize,
    /// Base of the frequencies.
    pub theta: f64,
    /// Context the model was trained for, tokens.
    pub original_context: usize,
    /// Context to extend to, tokens.
    pub target_context: usize,
}

impl SearchProblem {
    /// `target_context / original_context`.
    pub fn scale(&self) -> f64 {
        self.target_context as f64 / self.original_context as f64
    }

    /// Number of rescale factors, `rotary_dim / 2`.
    pub fn n_pairs(&self) -> usize {
        self.rotary_dim / 2
    }

    /// Checks that a search for this problem makes sense.
    ///
    /// # Errors
    /// [`Error::InvalidProblem`] names the first field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let fail = |field, found: String, expected: &str| {
            Err(Error::InvalidProblem {
                field,
                found,
                expected: expected.to_owned(),
            })
        };
        // Two pairs at least: the NTK seed divides by `rotary_dim - 2`.
        if self.rotary_dim < 4 || !self.rotary_dim.is_multiple_of(2) {
            return fail(
                "rotary_dim",
                self.rotary_dim.to_string(),
                "an even number of at least 4",
            );
        }
        if !(self.theta.is_finite() && self.theta > 1.0) {
            return fail("theta", self.theta.to_string(), "a finite number above 1");
        }
        if self.original_context == 0 {
            return fail("original_context", "0".to_owned(), "at least 1 token");
        }
        if self.target_context < self.original_context {
            let expected = format!("at least the original context, {}", self.original_context);
            return fail("target_context", self.target_context.to_string(), &expected);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LLAMA2_128K: SearchProblem = SearchProblem {
        rotary_dim: 128,
        theta: 10_000.0,
        original_context: 4096,
        target_context: 131_072,
    };

    #[test]
    fn llama2_at_128k_has_scale_32_and_64_pairs() {
        assert!((LLAMA2_128K.scale() - 32.0).abs() < f64::EPSILON);
        assert_eq!(LLAMA2_128K.n_pairs(), 64);
        assert!(LLAMA2_128K.validate().is_ok());
    }

    #[test]
    fn each_bad_field_is_named() {
        let cases = [
            (
                "rotary_dim",
                SearchProblem {
                    rotary_dim: 127,
                    ..LLAMA2_128K
                },
            ),
            (
                "rotary_dim",
                SearchProblem {
                    rotary_dim: 2,
                    ..LLAMA2_128K
                },
            ),
            (
                "theta",
                SearchProblem {
                    theta: f64::NAN,
                    ..LLAMA2_128K
                },
            ),
            (
                "original_context",
                SearchProblem {
                    original_context: 0,
                    ..LLAMA2_128K
                },
            ),
            (
                "target_context",
                SearchProblem {
                    target_context: 4095,
                    ..LLAMA2_128K
                },
            ),
        ];
        for (expected, problem) in cases {
            let result = problem.validate();
            assert!(
                matches!(result, Err(Error::InvalidProblem { field, .. }) if field == expected),
                "{expected}: {result:?}"
            );
        }
    }
}
