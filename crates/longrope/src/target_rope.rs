//! What a candidate of a search stands for: the model's RoPE with one more factor set.

use anyhow::Result;
use longrope_rope::{AttentionScale, FactorSet, RescaleFactors, RopeScaling, RopeSpec};
use longrope_search::Candidate;

/// The RoPE that is searched for.
#[derive(Clone, Debug)]
pub(crate) struct TargetRope {
    /// That of the model, unscaled.
    base: RopeSpec,
    /// The longest context of the set that is searched for.
    target: usize,
    /// Factors that a candidate's multiply; none if they are the factors themselves.
    ground: Option<RescaleFactors>,
    /// Sets for other contexts, which are saved beside it.
    others: Vec<FactorSet>,
}

impl TargetRope {
    /// Factors for `target` tokens; up to the original context the RoPE stays as it is, so that short texts are not paid
    /// for with long ones' factors.
    pub(crate) fn factors(base: &RopeSpec, target: usize) -> Self {
        let plain = FactorSet {
            max_context: base.original_context,
            start_tokens: 0,
            factors: RescaleFactors::ones(base.n_pairs()),
            attention: Some(AttentionScale::None {}),
        };
        Self {
            base: base.plain(),
            target,
            ground: None,
            others: if target > base.original_context {
                vec![plain]
            } else {
                Vec::new()
            },
        }
    }

    /// Ratios to the largest set of `known`, which keeps its sets.
    pub(crate) fn ratios(known: &RopeSpec, ground: &FactorSet, target: usize) -> Self {
        Self {
            base: known.plain(),
            target,
            ground: Some(ground.factors.clone()),
            others: fixed_sets(known)
                .into_iter()
                .filter(|set| set.max_context < target)
                .collect(),
        }
    }

    /// Factors for up to `context` tokens beside the other sets of `known`.
    pub(crate) fn beside(known: &RopeSpec, context: usize) -> Self {
        Self {
            base: known.plain(),
            target: context,
            ground: None,
            others: fixed_sets(known)
                .into_iter()
                .filter(|set| set.max_context != context)
                .collect(),
        }
    }

    /// The RoPE of the model, unscaled.
    pub(crate) fn base(&self) -> &RopeSpec {
        &self.base
    }

    /// The longest context of the set that is searched for.
    pub(crate) fn target(&self) -> usize {
        self.target
    }

    /// What a candidate's factors are multiplied by.
    pub(crate) fn ground(&self) -> Option<&[f64]> {
        self.ground.as_ref().map(RescaleFactors::as_slice)
    }

    /// The RoPE that a candidate is measured with: its own set only.
    pub(crate) fn candidate_spec(&self, candidate: &Candidate) -> longrope_rope::Result<RopeSpec> {
        RopeSpec {
            scaling: RopeScaling::LongRope {
                sets: vec![self.set(candidate)?],
                attention: candidate.attention,
            },
            ..self.base.clone()
        }
        .validated()
    }

    /// The RoPE as it is saved, with all sets.
    pub(crate) fn artifact_spec(&self, candidate: &Candidate) -> Result<RopeSpec> {
        let is_largest = self.others.iter().all(|set| set.max_context < self.target);
        let mut own = self.set(candidate)?;
        // Only the largest set's policy can be that of the family without changing its value.
        if !is_largest {
            own.attention = Some(candidate.attention);
        }
        let mut sets = self.others.clone();
        sets.push(own);
        sets.sort_by_key(|set| set.max_context);
        let attention = candidate.attention;
        Ok(RopeSpec {
            scaling: RopeScaling::LongRope { sets, attention },
            ..self.base.clone()
        }
        .validated()?)
    }

    fn set(&self, candidate: &Candidate) -> longrope_rope::Result<FactorSet> {
        let mut factors = candidate.factors();
        if let Some(ground) = &self.ground {
            for (factor, ground) in factors.iter_mut().zip(ground.as_slice()) {
                *factor *= ground;
            }
        }
        Ok(FactorSet {
            max_context: self.target,
            start_tokens: candidate.start_tokens,
            factors: RescaleFactors::new(factors)?,
            attention: None,
        })
    }
}

/// The sets of a RoPE, each with a policy of its own that gives what the family's gave it.
fn fixed_sets(spec: &RopeSpec) -> Vec<FactorSet> {
    let RopeScaling::LongRope { sets, attention } = &spec.scaling else {
        return Vec::new();
    };
    let largest = spec.max_context();
    let fixed = sets.iter().map(|set| {
        let policy = set.attention.unwrap_or(if set.max_context == largest {
            *attention
        } else {
            AttentionScale::Constant {
                value: spec.attention_scale(set.max_context),
            }
        });
        FactorSet {
            attention: Some(policy),
            ..set.clone()
        }
    });
    fixed.collect()
}

#[cfg(test)]
mod tests {
    use longrope_search::{SearchConfig, SearchProblem};

    use super::*;

    fn base() -> RopeSpec {
        RopeSpec::new(8, 1e4, 256, RopeScaling::None {}).unwrap()
    }

    fn candidate(factors: &[f64]) -> Candidate {
        let problem = SearchProblem {
            rotary_dim: 8,
            theta: 1e4,
            original_context: 256,
            target_context: 2048,
        };
        let space = SearchConfig::default().space(&problem).unwrap();
        space.nearest(factors, 0, AttentionScale::Su {}).unwrap()
    }

    fn factors(spec: &RopeSpec, context: usize) -> Vec<f64> {
        spec.factor_set(context)
            .unwrap()
            .factors
            .as_slice()
            .to_vec()
    }

    #[test]
    fn ratios_are_multiplied_in_and_can_be_chained() {
        let first = TargetRope::factors(&base(), 1024)
            .artifact_spec(&candidate(&[1.0, 2.0, 3.0, 4.0]))
            .unwrap();
        let scale_of_first = first.attention_scale(1024);
        let ground = first.factor_set(1024).unwrap();
        let second = TargetRope::ratios(&first, ground, 2048)
            .artifact_spec(&candidate(&[1.0, 1.0, 1.5, 2.0]))
            .unwrap();
        assert_eq!(factors(&second, 256), [1.0; 4]);
        assert_eq!(factors(&second, 1024), [1.0, 2.0, 3.0, 4.0]);
        assert_eq!(factors(&second, 2048), [1.0, 2.0, 4.5, 8.0]);
        assert!((second.attention_scale(1024) - scale_of_first).abs() < 1e-12);
        let ground = second.factor_set(2048).unwrap();
        let third = TargetRope::ratios(&second, ground, 4096)
            .artifact_spec(&candidate(&[2.0; 4]))
            .unwrap();
        assert_eq!(factors(&third, 4096), [2.0, 4.0, 9.0, 16.0]);
        assert_eq!(factors(&third, 2048), [1.0, 2.0, 4.5, 8.0]);
    }

    #[test]
    fn recovered_sets_join_the_others() {
        let long = TargetRope::factors(&base(), 2048)
            .artifact_spec(&candidate(&[2.0; 4]))
            .unwrap();
        let scale_of_long = long.attention_scale(2048);
        let both = TargetRope::beside(&long, 512)
            .artifact_spec(&candidate(&[1.0, 1.0, 1.1, 1.2]))
            .unwrap();
        assert_eq!(factors(&both, 256), [1.0; 4]);
        assert_eq!(factors(&both, 512), [1.0, 1.0, 1.1, 1.2]);
        assert_eq!(factors(&both, 513), [2.0; 4]);
        assert!((both.attention_scale(2048) - scale_of_long).abs() < 1e-12);
        let su = AttentionScale::Su {}.value(2.0, 256);
        assert!((both.attention_scale(512) - su).abs() < 1e-12);
        let replaced = TargetRope::beside(&both, 256)
            .artifact_spec(&candidate(&[1.5; 4]))
            .unwrap();
        assert_eq!(factors(&replaced, 200), [1.5; 4]);
    }
}
