//! The forms of RoPE that runtimes take.

use std::fmt;

use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, Result, RopeScaling, RopeSpec};

use super::goal::Goal;

/// YaRN's bounds where a runtime has no others, in turns within the original context.
const BETA_FAST: f64 = 32.0;
const BETA_SLOW: f64 = 1.0;

/// A form of RoPE with a few numbers to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Form {
    /// The RoPE as it is, as far as it can be written.
    AsItIs,
    /// One factor set for every length, stretched by a power, with an attention scale.
    OneSet,
    /// One factor set, with another original context: runtimes that compute the attention scale from the growth of the
    /// context get another one.
    OneSetByOriginal,
    /// YaRN: factor, both bounds and attention scale.
    Yarn,
    /// YaRN with the usual bounds, moved by another original context.
    YarnByOriginal,
    /// YaRN with the usual bounds, another original context and another base.
    YarnByBase,
    /// Another base.
    Theta,
    /// Linear interpolation.
    Linear,
}

impl Form {
    /// All forms, those that come first are preferred among equals.
    pub const ALL: [Self; 8] = [
        Self::AsItIs,
        Self::OneSet,
        Self::OneSetByOriginal,
        Self::Yarn,
        Self::YarnByOriginal,
        Self::YarnByBase,
        Self::Theta,
        Self::Linear,
    ];

    /// The numbers that a fit begins with. Their meaning is the form's own; all may be varied by small amounts, most of
    /// them are logarithms.
    pub(super) fn start(self, goal: &Goal) -> Vec<f64> {
        let attention = goal.rope.attention_scale();
        let scale = goal.factors().iter().copied().fold(1.0, f64::max).ln();
        let original = (goal.plain.original_context as f64).ln();
        let theta = goal.plain.theta.ln();
        match self {
            Self::AsItIs => Vec::new(),
            Self::OneSet => vec![1.0, attention.ln()],
            // sqrt(ln M / ln L) = a, from the scale that such runtimes compute for M / L.
            Self::OneSetByOriginal => {
                vec![(goal.context as f64).ln() / attention.max(1.0).powi(2)]
            }
            Self::Yarn => vec![
                scale,
                BETA_SLOW.ln(),
                (BETA_FAST / BETA_SLOW).ln(),
                attention.ln(),
            ],
            Self::YarnByOriginal => vec![scale, original, attention.ln()],
            Self::YarnByBase => vec![scale, original, theta, attention.ln()],
            Self::Theta => vec![theta + scale],
            Self::Linear => vec![scale],
        }
    }

    /// The RoPE of this form with these numbers. `written` is the RoPE as it is, for [`Form::AsItIs`].
    pub(super) fn spec(self, goal: &Goal, written: &RopeSpec, numbers: &[f64]) -> Result<RopeSpec> {
        let plain = &goal.plain;
        let yarn = |original, theta, scale: f64, (slow, fast): (f64, f64), truncate, a: f64| {
            let scaling = RopeScaling::Yarn {
                scale: scale.exp(),
                beta_fast: fast,
                beta_slow: slow,
                truncate,
                attention: AttentionScale::Constant { value: a.exp() },
            };
            RopeSpec::new(plain.rotary_dim, theta, original, scaling)
        };
        match (self, numbers) {
            (Self::OneSet, [stretch, attention]) => {
                let attention = AttentionScale::Constant {
                    value: attention.exp(),
                };
                one_set(goal, plain.original_context, *stretch, attention)
            }
            (Self::OneSetByOriginal, [original]) => {
                // At the context itself there would be nothing to extend.
                let most = goal.context.saturating_sub(1).max(2);
                let original = tokens(*original).min(most);
                one_set(goal, original, 1.0, AttentionScale::Su {})
            }
            (Self::Yarn, [scale, slow, ramp, attention]) => {
                let betas = (slow.exp(), (slow + ramp.max(0.0)).exp());
                let (original, theta) = (plain.original_context, plain.theta);
                yarn(original, theta, *scale, betas, false, *attention)
            }
            (Self::YarnByOriginal, [scale, original, attention]) => {
                let betas = (BETA_SLOW, BETA_FAST);
                let original = tokens(*original);
                yarn(original, plain.theta, *scale, betas, true, *attention)
            }
            (Self::YarnByBase, [scale, original, theta, attention]) => {
                let betas = (BETA_SLOW, BETA_FAST);
                let original = tokens(*original);
                yarn(original, theta.exp(), *scale, betas, true, *attention)
            }
            (Self::Theta, [theta]) => {
                let theta = theta.exp();
                RopeSpec {
                    scaling: RopeScaling::Theta { theta },
                    ..plain.clone()
                }
                .validated()
            }
            (Self::Linear, [scale]) => {
                let scale = scale.exp();
                RopeSpec {
                    scaling: RopeScaling::Linear { scale },
                    ..plain.clone()
                }
                .validated()
            }
            _ => Ok(written.clone()),
        }
    }
}

/// The factors of the goal to a power, for every length.
fn one_set(
    goal: &Goal,
    original: usize,
    stretch: f64,
    attention: AttentionScale,
) -> Result<RopeSpec> {
    let factors = goal.factors().iter().map(|it| it.powf(stretch)).collect();
    let factors = RescaleFactors::new(factors)?;
    let set = |max_context| FactorSet {
        max_context,
        start_tokens: 0,
        factors: factors.clone(),
        attention: None,
    };
    let sets = vec![set(original), set(goal.context.max(original + 1))];
    RopeSpec::new(
        goal.plain.rotary_dim,
        goal.plain.theta,
        original,
        RopeScaling::LongRope { sets, attention },
    )
}

/// A count of tokens from its logarithm, at least 2.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number between 2 and 2^32 is rounded"
)]
fn tokens(logarithm: f64) -> usize {
    logarithm.exp().round().clamp(2.0, 4e9) as usize
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AsItIs => "as it is",
            Self::OneSet => "one set",
            Self::OneSetByOriginal => "one set, other original context",
            Self::Yarn => "yarn",
            Self::YarnByOriginal => "yarn, other original context",
            Self::YarnByBase => "yarn, other original context and base",
            Self::Theta => "theta",
            Self::Linear => "linear",
        })
    }
}
