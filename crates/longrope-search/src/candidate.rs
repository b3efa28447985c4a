//! A point of the search space, stored in whole numbers so that equality is exact.

use std::hash::{Hash, Hasher};
use std::num::NonZeroU32;

use longrope_rope::{AttentionScale, critical_ntk_factors};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The finest grid that is accepted; finer steps make no difference to a model.
const MAX_STEPS_PER_UNIT: f64 = 1e6;

/// The grid of the factors, as the number of steps between 1 and 2.
///
/// A count instead of a step size: `123 / 100` is the `f64` nearest to 1.23, `123 * 0.01` need not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grid(NonZeroU32);

impl Grid {
    /// The grid with the given step, which must divide 1: 0.01, 0.005, 0.25.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] for `step` if it does not divide 1 or is finer than a millionth.
    pub fn new(step: f64) -> Result<Self> {
        let per_unit = step.recip().round();
        let divides = (per_unit * step - 1.0).abs() < 1e-9;
        (divides && (1.0..=MAX_STEPS_PER_UNIT).contains(&per_unit))
            .then(|| NonZeroU32::new(to_u32(per_unit)).map(Self))
            .flatten()
            .ok_or_else(|| Error::InvalidConfig {
                key: "step",
                found: step.to_string(),
                expected: "1 divided by a whole number up to a million, such as 0.01".to_owned(),
            })
    }

    /// Number of steps between 1 and 2.
    pub fn steps_per_unit(self) -> u32 {
        self.0.get()
    }

    /// The factor at a grid point.
    pub fn factor(self, step: u32) -> f64 {
        f64::from(step) / f64::from(self.0.get())
    }

    /// Position of a factor on the grid; in general between two grid points.
    pub(crate) fn position(self, factor: f64) -> f64 {
        factor * f64::from(self.0.get())
    }
}

/// Converts a rounded number; numbers out of range saturate.
pub(crate) fn to_u32(value: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "values are whole and not negative; a float cast saturates"
    )]
    let whole = value as u32;
    whole
}

/// How the factors of a candidate depend on each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Shape {
    /// Every factor is a gene.
    #[default]
    Free,
    /// Factors are 1 up to pair `from`, the scale after pair `to`, and genes between. `from` and `to` are genes too. This
    /// is `dim_piece_mono` of the official code.
    Piece {
        /// Last pair that is not scaled.
        from: usize,
        /// Last pair that is not scaled in full.
        to: usize,
    },
    /// Factors from a critical pair on are genes; below it they are exactly those of [`critical_ntk_factors`].
    Critical {
        /// The critical pair, `c`.
        pair: usize,
        /// Last pair that is not scaled, `u`.
        #[serde(default, skip_serializing_if = "is_zero")]
        unscaled: usize,
    },
}

impl Shape {
    fn is_free(&self) -> bool {
        matches!(self, Self::Free)
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_zero(pair: &usize) -> bool {
    *pair == 0
}

/// Rescale factors, start tokens and attention-scale policy of one trial.
///
/// Factors are whole grid steps. So two candidates are equal exactly if a model would see the same numbers, and JSON
/// preserves them.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The grid that [`steps`](Self::steps) counts in.
    #[serde(rename = "steps_per_unit")]
    pub grid: Grid,
    /// One rescale factor per pair, in grid steps. Below a critical pair these are rounded; [`factors`](Self::factors) has
    /// the exact values.
    pub steps: Vec<u32>,
    /// How the factors depend on each other.
    #[serde(default, skip_serializing_if = "Shape::is_free")]
    pub shape: Shape,
    /// Leading positions left unscaled, tokens.
    pub start_tokens: usize,
    /// The attention-scale policy.
    pub attention: AttentionScale,
}

impl Candidate {
    /// The rescale factors λ, one per pair.
    pub fn factors(&self) -> Vec<f64> {
        let mut factors: Vec<f64> = self
            .steps
            .iter()
            .map(|&step| self.grid.factor(step))
            .collect();
        if let Shape::Critical { pair, unscaled } = self.shape
            && let Some(&at_critical) = factors.get(pair)
        {
            let closed = critical_ntk_factors(pair, unscaled, pair, at_critical);
            factors[..pair].copy_from_slice(&closed);
        }
        factors
    }

    /// Everything that equality depends on, in comparable form.
    fn key(&self) -> (Grid, &[u32], Shape, usize, (u8, u64)) {
        (
            self.grid,
            &self.steps,
            self.shape,
            self.start_tokens,
            attention_key(self.attention),
        )
    }
}

/// 0 instead of 1 start token: nothing rotates position 0, so both are the same.
pub(crate) fn canonical_start_tokens(start_tokens: usize) -> usize {
    if start_tokens == 1 { 0 } else { start_tokens }
}

/// Identity of a policy: its kind, and the bits of its value.
pub(crate) fn attention_key(attention: AttentionScale) -> (u8, u64) {
    match attention {
        AttentionScale::None {} => (0, 0),
        AttentionScale::Su {} => (1, 0),
        AttentionScale::Yarn {} => (2, 0),
        AttentionScale::Constant { value } => (3, value.to_bits()),
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Candidate {}

impl Hash for Candidate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(attention: AttentionScale) -> Candidate {
        Candidate {
            grid: Grid::new(0.01).expect("divides 1"),
            steps: vec![100, 115, 123],
            shape: Shape::Free,
            start_tokens: 4,
            attention,
        }
    }

    #[test]
    fn factors_are_the_numbers_one_would_write() {
        let grid = Grid::new(0.01).expect("divides 1");
        for step in 100..20_000_u32 {
            let written: f64 = format!("{}.{:02}", step / 100, step % 100)
                .parse()
                .expect("a number");
            assert_eq!(
                grid.factor(step).to_bits(),
                written.to_bits(),
                "step {step}"
            );
        }
    }

    #[test]
    fn steps_that_do_not_divide_one_are_refused() {
        for step in [0.0, -0.01, 0.03, 2.0, 1e-7, f64::NAN, f64::INFINITY] {
            assert!(
                matches!(
                    Grid::new(step),
                    Err(Error::InvalidConfig { key: "step", .. })
                ),
                "{step}"
            );
        }
        assert_eq!(Grid::new(0.005).expect("divides 1").steps_per_unit(), 200);
    }

    #[test]
    fn candidates_differ_by_every_part() {
        let base = candidate(AttentionScale::Su {});
        assert_eq!(base, base.clone());
        assert_ne!(base, candidate(AttentionScale::Yarn {}));
        assert_ne!(
            base,
            Candidate {
                start_tokens: 0,
                ..base.clone()
            }
        );
        assert_ne!(
            base,
            Candidate {
                steps: vec![100, 115, 124],
                ..base.clone()
            }
        );
        assert_ne!(
            base,
            Candidate {
                grid: Grid::new(0.005).expect("divides 1"),
                ..base.clone()
            }
        );
        let near = |value| candidate(AttentionScale::Constant { value });
        assert_ne!(near(0.3), near(0.1 + 0.2));
        assert_eq!(near(0.3), near(0.3));
    }

    #[test]
    fn below_a_critical_pair_factors_are_the_closed_form() {
        let critical = Candidate {
            steps: vec![100, 200, 400, 500],
            shape: Shape::Critical {
                pair: 2,
                unscaled: 0,
            },
            ..candidate(AttentionScale::Su {})
        };
        let expected = [1.0, 2.0, 4.0, 5.0];
        for (found, expected) in critical.factors().iter().zip(expected) {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let off_grid = Candidate {
            steps: vec![100, 173, 300, 500],
            ..critical.clone()
        };
        assert!((off_grid.factors()[1] - 3.0_f64.sqrt()).abs() < 1e-12);
        let late = Candidate {
            shape: Shape::Critical {
                pair: 2,
                unscaled: 1,
            },
            ..critical
        };
        assert_eq!(late.factors(), [1.0, 1.0, 4.0, 5.0]);
    }

    #[test]
    fn json_is_pinned_and_read_back() {
        let base = candidate(AttentionScale::Constant { value: 1.25 });
        let json = serde_json::to_string(&base).expect("plain data");
        assert_eq!(
            json,
            r#"{"steps_per_unit":100,"steps":[100,115,123],"start_tokens":4,"attention":{"type":"constant","value":1.25}}"#
        );
        assert_eq!(
            serde_json::from_str::<Candidate>(&json).expect("own output"),
            base
        );
        assert!(
            serde_json::from_str::<Candidate>(&json.replace(":100,", ":0,")).is_err(),
            "a grid of no steps"
        );
    }
}
