//! The rope of a model: everything that decides its angles.

use serde::{Deserialize, Serialize};

use crate::inv_freq::{self, Base};
use crate::scaling;
use crate::{
    AnglePrecision, AttentionScale, Error, FactorSet, ResolvedRope, Result, RopeScaling, SelfExtend,
};

/// The rope of a model.
///
/// Fields are public because a spec is data. [`validated`](Self::validated) checks a spec that was built as a literal;
/// a spec read from JSON is checked while it is read. Methods expect a valid spec.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "UncheckedSpec")]
pub struct RopeSpec {
    /// Number of rotated dimensions of a head, `d`; even.
    pub rotary_dim: usize,
    /// Base of the frequencies, `θ`.
    pub theta: f64,
    /// Context the model was trained for before any extension, `L`, in tokens.
    pub original_context: usize,
    /// How the frequencies are changed for longer contexts.
    pub scaling: RopeScaling,
}

/// Longest context of a RoPE, in tokens: positions are 32-bit numbers in other programs.
const LONGEST_CONTEXT: u64 = 1 << 32;

fn check_context(name: &'static str, tokens: usize) -> Result<()> {
    if tokens as u64 <= LONGEST_CONTEXT {
        return Ok(());
    }
    Err(Error::Number {
        name,
        found: tokens as f64,
        expected: "at most 4294967296 tokens",
    })
}

impl RopeSpec {
    /// Builds a valid spec.
    ///
    /// # Errors
    /// The errors of [`validate`](Self::validate).
    pub fn new(
        rotary_dim: usize,
        theta: f64,
        original_context: usize,
        scaling: RopeScaling,
    ) -> Result<Self> {
        Self {
            rotary_dim,
            theta,
            original_context,
            scaling,
        }
        .validated()
    }

    /// This spec, if it is valid.
    ///
    /// # Errors
    /// The errors of [`validate`](Self::validate).
    pub fn validated(self) -> Result<Self> {
        self.validate()?;
        Ok(self)
    }

    /// Checks every number against the formula it enters.
    ///
    /// # Errors
    /// [`Error::RotaryDim`], [`Error::Number`], [`Error::OriginalContext`], and the errors of factor sets:
    /// [`Error::NoSets`], [`Error::SetOrder`] and [`Error::FactorCount`].
    pub fn validate(&self) -> Result<()> {
        if self.rotary_dim < 2 || !self.rotary_dim.is_multiple_of(2) {
            return Err(Error::RotaryDim {
                found: self.rotary_dim,
                minimum: 2,
            });
        }
        scaling::base("theta", self.theta)?;
        // The attention scale divides by the logarithm of the context, which is 0 for one token.
        if self.original_context < 2 {
            return Err(Error::OriginalContext {
                found: self.original_context,
            });
        }
        check_context("original_context", self.original_context)?;
        if let RopeScaling::LongRope { sets, .. } = &self.scaling {
            for set in sets {
                check_context("max_context", set.max_context)?;
            }
        }
        self.scaling
            .validate(self.rotary_dim, self.original_context)
    }

    /// Number of rotated pairs of dimensions, `d / 2`.
    pub fn n_pairs(&self) -> usize {
        self.rotary_dim / 2
    }

    /// The same model without any scaling.
    #[must_use]
    pub fn plain(&self) -> Self {
        Self {
            scaling: RopeScaling::None {},
            ..*self
        }
    }

    /// The longest context the spec was made for, in tokens.
    ///
    /// The `max_context` of the largest factor set, [`SelfExtend::longest`], or scale × original context for other
    /// scalings. The original context for those that are not made for a context.
    pub fn max_context(&self) -> usize {
        match &self.scaling {
            RopeScaling::None {} | RopeScaling::Theta { .. } | RopeScaling::Drope { .. } => {
                self.original_context
            }
            RopeScaling::SelfExtend { group, window } => {
                let (group, window) = (*group, *window);
                SelfExtend { group, window }.longest(self.original_context)
            }
            RopeScaling::Linear { scale }
            | RopeScaling::NtkAware { scale }
            | RopeScaling::DynamicNtk { scale }
            | RopeScaling::Yarn { scale, .. }
            | RopeScaling::Llama3 { scale, .. } => scaled_context(self.original_context, *scale),
            RopeScaling::LongRope { sets, .. } => sets
                .iter()
                .map(|set| set.max_context)
                .max()
                .unwrap_or(self.original_context),
        }
    }

    /// Fixes the frequencies of one sequence of up to `total_tokens`: its prompt and everything that may be generated.
    ///
    /// Call it once per sequence. Keys that were rotated by one [`ResolvedRope`] do not match the queries of another, so a
    /// sequence that outgrows its frequencies must be computed again from its start.
    pub fn resolve(&self, total_tokens: usize) -> ResolvedRope {
        self.resolve_with(total_tokens, AnglePrecision::F64)
    }

    /// [`resolve`](Self::resolve) in a chosen arithmetic.
    pub fn resolve_with(&self, total_tokens: usize, precision: AnglePrecision) -> ResolvedRope {
        let base = self.base(precision);
        let (inv_freq, start_tokens) = match &self.scaling {
            RopeScaling::None {} | RopeScaling::SelfExtend { .. } => (inv_freq::plain(base), 0),
            RopeScaling::Theta { theta } => (inv_freq::with_base(base, *theta), 0),
            RopeScaling::Drope { .. } => (vec![0.0; self.n_pairs()], 0),
            RopeScaling::Linear { scale } => (inv_freq::linear(base, *scale), 0),
            RopeScaling::NtkAware { scale } => (inv_freq::ntk_aware(base, *scale), 0),
            RopeScaling::DynamicNtk { scale } => {
                (inv_freq::dynamic_ntk(base, *scale, total_tokens), 0)
            }
            RopeScaling::Yarn {
                scale,
                beta_fast,
                beta_slow,
                truncate,
                ..
            } => (
                inv_freq::yarn(base, *scale, (*beta_fast, *beta_slow), *truncate),
                0,
            ),
            RopeScaling::Llama3 {
                scale,
                low_freq_factor,
                high_freq_factor,
            } => (
                inv_freq::llama3(base, *scale, *low_freq_factor, *high_freq_factor),
                0,
            ),
            RopeScaling::LongRope { sets, .. } => match choose_set(sets, total_tokens) {
                Some(set) => (
                    inv_freq::long_rope(base, set.factors.as_slice()),
                    set.start_tokens,
                ),
                None => (inv_freq::plain(base), 0),
            },
        };
        ResolvedRope {
            start_inv_freq: if start_tokens > 0 {
                inv_freq::plain(base)
            } else {
                Vec::new()
            },
            inv_freq,
            start_tokens,
            attention_scale: self.attention_scale(total_tokens),
            precision,
            self_extend: match self.scaling {
                RopeScaling::SelfExtend { group, window } => Some(SelfExtend { group, window }),
                _ => None,
            },
        }
    }

    /// The number that multiplies cos and sin in a sequence of `total_tokens`.
    pub fn attention_scale(&self, total_tokens: usize) -> f64 {
        match &self.scaling {
            RopeScaling::Yarn {
                scale, attention, ..
            } => attention.value(*scale, self.original_context),
            RopeScaling::LongRope { sets, attention } => match choose_set(sets, total_tokens) {
                Some(set) => self.set_attention_scale(set, *attention),
                None => 1.0,
            },
            RopeScaling::Drope { sharpening } => {
                let growth = total_tokens as f64 / self.original_context as f64;
                (1.0 + sharpening * growth.max(1.0).ln()).sqrt()
            }
            _ => 1.0,
        }
    }

    /// The factor set that a sequence of `total_tokens` uses, if this is LongRoPE.
    ///
    /// The smallest set with `max_context >= total_tokens`, else the largest.
    pub fn factor_set(&self, total_tokens: usize) -> Option<&FactorSet> {
        match &self.scaling {
            RopeScaling::LongRope { sets, .. } => choose_set(sets, total_tokens),
            _ => None,
        }
    }

    /// The attention scale of a set. Its own policy is evaluated at its context, the policy of the whole RoPE (`family`)
    /// at the context of the largest set.
    pub(crate) fn set_attention_scale(&self, set: &FactorSet, family: AttentionScale) -> f64 {
        let (policy, context) = match set.attention {
            Some(own) => (own, set.max_context),
            None => (family, self.max_context()),
        };
        policy.value(
            context as f64 / self.original_context as f64,
            self.original_context,
        )
    }

    pub(crate) fn base(&self, precision: AnglePrecision) -> Base {
        Base {
            rotary_dim: self.rotary_dim,
            theta: self.theta,
            original_context: self.original_context,
            precision,
        }
    }
}

fn choose_set(sets: &[FactorSet], total_tokens: usize) -> Option<&FactorSet> {
    sets.iter()
        .find(|set| set.max_context >= total_tokens)
        .or(sets.last())
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive product is rounded to tokens"
)]
fn scaled_context(original_context: usize, scale: f64) -> usize {
    (original_context as f64 * scale).round() as usize
}

/// A spec as JSON holds it, before it is checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UncheckedSpec {
    rotary_dim: usize,
    theta: f64,
    original_context: usize,
    scaling: RopeScaling,
}

impl TryFrom<UncheckedSpec> for RopeSpec {
    type Error = Error;

    fn try_from(spec: UncheckedSpec) -> Result<Self> {
        Self::new(
            spec.rotary_dim,
            spec.theta,
            spec.original_context,
            spec.scaling,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RescaleFactors;

    fn set(max_context: usize, factor: f64) -> FactorSet {
        let factors = RescaleFactors::new(vec![factor; 4]).unwrap();
        FactorSet {
            max_context,
            start_tokens: 0,
            factors,
            attention: None,
        }
    }

    fn long_rope(sets: Vec<FactorSet>) -> RopeSpec {
        let scaling = RopeScaling::LongRope {
            sets,
            attention: AttentionScale::Su {},
        };
        RopeSpec::new(8, 10_000.0, 256, scaling).unwrap()
    }

    #[test]
    fn a_sequence_uses_the_smallest_set_that_holds_it() {
        let spec = long_rope(vec![set(256, 1.0), set(1024, 2.0), set(4096, 4.0)]);
        for (total_tokens, factor) in [
            (1, 1.0),
            (256, 1.0),
            (257, 2.0),
            (1024, 2.0),
            (1025, 4.0),
            (9999, 4.0),
        ] {
            assert_eq!(
                spec.factor_set(total_tokens).unwrap().factors.as_slice()[0],
                factor
            );
            assert_eq!(spec.resolve(total_tokens).inv_freq()[0], 1.0 / factor);
        }
        assert_eq!(spec.max_context(), 4096);
    }

    #[test]
    fn every_set_shares_the_attention_scale_of_the_largest() {
        let spec = long_rope(vec![set(256, 1.0), set(4096, 4.0)]);
        let expected = AttentionScale::Su {}.value(16.0, 256);
        assert_eq!(spec.resolve(100).attention_scale(), expected);
        assert_eq!(spec.resolve(4000).attention_scale(), expected);
    }

    #[test]
    fn a_set_may_have_an_attention_scale_of_its_own() {
        let own = FactorSet {
            attention: Some(AttentionScale::Su {}),
            ..set(1024, 2.0)
        };
        let spec = long_rope(vec![own, set(4096, 4.0)]);
        assert_eq!(
            spec.attention_scale(1024),
            AttentionScale::Su {}.value(4.0, 256)
        );
        assert_eq!(
            spec.attention_scale(1025),
            AttentionScale::Su {}.value(16.0, 256)
        );
    }

    #[test]
    fn the_longest_context_is_scale_times_original() {
        let spec = RopeSpec::new(8, 10_000.0, 256, RopeScaling::Linear { scale: 4.0 }).unwrap();
        assert_eq!(spec.max_context(), 1024);
        assert_eq!(spec.plain().max_context(), 256);
    }

    #[test]
    fn a_bad_spec_says_what_is_wrong() {
        let message = |rotary_dim, theta, context| {
            RopeSpec::new(rotary_dim, theta, context, RopeScaling::None {})
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            message(7, 1e4, 256),
            "`rotary_dim` is 7, expected an even number of at least 2"
        );
        assert_eq!(
            message(8, 1.0, 256),
            "`theta` is 1, expected a number above 1 and up to 3e38"
        );
        assert_eq!(
            message(8, 1e4, 1),
            "`original_context` is 1, expected at least 2 tokens"
        );
    }

    #[test]
    fn json_is_checked_while_it_is_read() {
        let good =
            r#"{"rotary_dim":8,"theta":1e4,"original_context":256,"scaling":{"type":"none"}}"#;
        let spec: RopeSpec = serde_json::from_str(good).unwrap();
        assert_eq!(spec.n_pairs(), 4);
        assert!(serde_json::from_str::<RopeSpec>(&good.replace(":8", ":7")).is_err());
        assert!(serde_json::from_str::<RopeSpec>(&good.replace("theta", "base")).is_err());
    }
}
