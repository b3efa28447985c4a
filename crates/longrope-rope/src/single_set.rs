//! LongRoPE with the angles of one length at every length.

use crate::{AttentionScale, Error, FactorSet, RescaleFactors, Result, RopeScaling, RopeSpec};

impl RopeSpec {
    /// The same angles at every length: those of a sequence of `context` tokens.
    ///
    /// Factor sets become two equal ones, because files hold two. A scaling that is the same at every length stays as it is.
    ///
    /// # Errors
    /// The errors of [`validate`](Self::validate).
    pub fn with_single_set(&self, context: usize) -> Result<Self> {
        match &self.scaling {
            RopeScaling::LongRope { .. } => match self.factor_set(context) {
                Some(set) => self.with_equal_sets(context, &set.factors, set.start_tokens),
                None => Err(Error::NoSets {}),
            },
            RopeScaling::DynamicNtk { .. } => {
                self.with_equal_sets(context, &self.factors_at(context)?, 0)
            }
            _ => Ok(self.clone()),
        }
    }

    /// The factors that give the frequencies `f` of a sequence of `context` tokens: `λ_i = θ^(-2i/d) / f_i`.
    pub(crate) fn factors_at(&self, context: usize) -> Result<RescaleFactors> {
        let (plain, scaled) = (self.plain().resolve(context), self.resolve(context));
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        RescaleFactors::new(pairs.map(|(plain, scaled)| plain / scaled).collect())
    }

    /// LongRoPE with the same factors for the original context and for `context` tokens, and the attention scale that this
    /// RoPE has at `context` tokens.
    pub(crate) fn with_equal_sets(
        &self,
        context: usize,
        factors: &RescaleFactors,
        start_tokens: usize,
    ) -> Result<Self> {
        let set = |max_context| FactorSet {
            max_context,
            start_tokens,
            factors: factors.clone(),
            attention: None,
        };
        let mut sets = vec![set(self.original_context)];
        if context > self.original_context {
            sets.push(set(context));
        }
        let attention = AttentionScale::Constant {
            value: self.attention_scale(context),
        };
        Self {
            scaling: RopeScaling::LongRope { sets, attention },
            ..*self
        }
        .validated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(max_context: usize, factor: f64) -> FactorSet {
        FactorSet {
            max_context,
            start_tokens: 0,
            factors: RescaleFactors::new(vec![factor; 4]).unwrap(),
            attention: None,
        }
    }

    #[test]
    fn a_single_set_has_the_angles_of_one_length() {
        let own = FactorSet {
            attention: Some(AttentionScale::None {}),
            ..set(256, 1.5)
        };
        let scaling = RopeScaling::LongRope {
            sets: vec![own, set(1024, 2.0)],
            attention: AttentionScale::Su {},
        };
        let spec = RopeSpec::new(8, 10_000.0, 256, scaling).unwrap();
        let single = spec.with_single_set(1024).unwrap();
        for length in [1, 256, 1024] {
            assert_eq!(single.resolve(length), spec.resolve(1024));
        }
        let dynamic = RopeSpec::new(8, 1e4, 256, RopeScaling::DynamicNtk { scale: 4.0 }).unwrap();
        let single = dynamic.with_single_set(1024).unwrap();
        let (found, expected) = (single.resolve(10), dynamic.resolve(1024));
        for (found, expected) in found.inv_freq().iter().zip(expected.inv_freq()) {
            assert!((found / expected - 1.0).abs() < 1e-12);
        }
        let linear = RopeSpec::new(8, 1e4, 256, RopeScaling::Linear { scale: 4.0 }).unwrap();
        assert_eq!(linear.with_single_set(1024).unwrap(), linear);
    }
}
