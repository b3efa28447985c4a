//! A search that knows a RoPE: that RoPE as a candidate, and settings without starts that are the same.

use longrope_rope::{AttentionScale, RopeSpec};

use crate::candidate::Candidate;
use crate::config::{AttentionSearch, SearchConfig};
use crate::error::Result;
use crate::factor_sets::{SAME_SCALE, set_at};
use crate::problem::SearchProblem;
use crate::seed::Seed;
use crate::space::Space;
use crate::target_rope::TargetRope;

impl TargetRope {
    /// The candidate that is nearest to what `rope` does in a sequence of [`target`](Self::target) tokens; `None` if factors
    /// cannot do that. Not for a search of ratios.
    ///
    /// Factors and start tokens are those of [`Space::nearest`]. The attention scale is kept: by a policy of the settings
    /// that has it at the target, else as a constant. Only settings that fix the policy change it.
    ///
    /// # Errors
    /// [`Error::FactorCount`](crate::Error::FactorCount) if the RoPE has another number of pairs.
    pub fn candidate_of(
        &self,
        rope: &RopeSpec,
        config: &SearchConfig,
        space: &Space,
    ) -> Result<Option<Candidate>> {
        let Some(set) = set_at(rope, self.target()) else {
            return Ok(None);
        };
        let attention = self.policy_of(rope, config);
        let near = space.nearest(set.factors.as_slice(), set.start_tokens, attention)?;
        Ok(Some(near))
    }

    /// These settings for a search that starts from `known`, without starts that are the same RoPE.
    ///
    /// Within the original context every policy has the scale 1, and every seed the factors 1. Of seeds with the same factors
    /// one is left: `none` if it is among them, else the first. If policies have the same scale at the target, each scale is
    /// searched once, and so is that of `known`; mutation then draws from these, whatever the settings say.
    ///
    /// # Errors
    /// The errors of [`SearchConfig::space`].
    pub fn without_equal_starts(
        &self,
        config: &SearchConfig,
        problem: &SearchProblem,
        known: &RopeSpec,
    ) -> Result<SearchConfig> {
        let space = config.space(problem)?;
        Ok(SearchConfig {
            attention: self.distinct_policies(config, known),
            seeds: distinct_seeds(config, problem, &space)?,
            ..config.clone()
        })
    }

    fn distinct_policies(&self, config: &SearchConfig, known: &RopeSpec) -> AttentionSearch {
        let all = config.policies();
        let mut policies: Vec<AttentionScale> = Vec::with_capacity(all.len() + 1);
        for policy in &all {
            self.add_scale(&mut policies, *policy);
        }
        if policies.len() == all.len() {
            return config.attention.clone();
        }
        self.add_scale(&mut policies, self.policy_of(known, config));
        AttentionSearch::Among { policies }
    }

    /// Adds a policy unless one of them has the same scale at the target.
    fn add_scale(&self, policies: &mut Vec<AttentionScale>, policy: AttentionScale) {
        let scale = self.scale_of(policy);
        if policies.iter().all(|other| !self.has_scale(*other, scale)) {
            policies.push(policy);
        }
    }

    /// The policy of a candidate with the attention scale of a RoPE at the target.
    fn policy_of(&self, rope: &RopeSpec, config: &SearchConfig) -> AttentionScale {
        if let AttentionSearch::Fixed { policy } = config.attention {
            return policy;
        }
        let value = rope.attention_scale(self.target());
        let mut policies = config.policies().into_iter();
        policies
            .find(|policy| self.has_scale(*policy, value))
            .unwrap_or(AttentionScale::Constant { value })
    }

    fn has_scale(&self, policy: AttentionScale, scale: f64) -> bool {
        (self.scale_of(policy) - scale).abs() < SAME_SCALE
    }

    /// The attention scale that a policy gives a candidate.
    fn scale_of(&self, policy: AttentionScale) -> f64 {
        let original = self.base().original_context;
        policy.value(self.target() as f64 / original as f64, original)
    }
}

/// The seeds, one for all that have the same factors.
fn distinct_seeds(
    config: &SearchConfig,
    problem: &SearchProblem,
    space: &Space,
) -> Result<Vec<Seed>> {
    let mut plain_first = config.seeds.clone();
    plain_first.sort_by_key(|seed| *seed != Seed::None);
    let mut kept: Vec<(Seed, Candidate)> = Vec::with_capacity(plain_first.len());
    for seed in plain_first {
        let factors = seed.factors(problem, config);
        let candidate = space.nearest(&factors, 0, AttentionScale::None {})?;
        if kept.iter().all(|(_, other)| *other != candidate) {
            kept.push((seed, candidate));
        }
    }
    let is_kept = |seed: &Seed| kept.iter().any(|(one, _)| one == seed);
    Ok(config.seeds.iter().copied().filter(is_kept).collect())
}

#[cfg(test)]
mod tests {
    use longrope_rope::{FactorSet, RescaleFactors, RopeScaling};

    use super::*;

    /// Factors of 1 up to 256 tokens and beyond that others up to 1024, with the attention scale of the longest context.
    fn known() -> RopeSpec {
        let set = |max_context, factors: [f64; 4]| FactorSet {
            max_context,
            start_tokens: 0,
            factors: RescaleFactors::new(factors.to_vec()).unwrap(),
            attention: None,
        };
        let scaling = RopeScaling::LongRope {
            sets: vec![set(256, [1.0; 4]), set(1024, [1.0, 1.25, 1.5, 2.0])],
            attention: AttentionScale::Su {},
        };
        RopeSpec::new(8, 1e4, 256, scaling).unwrap()
    }

    fn candidate(rope: &RopeSpec, target: &TargetRope, config: &SearchConfig) -> Candidate {
        let space = config.space(&target.problem()).unwrap();
        let found = target.candidate_of(rope, config, &space).unwrap();
        found.unwrap()
    }

    #[test]
    fn the_candidate_of_a_known_rope_has_its_attention_scale() {
        let (known, config) = (known(), SearchConfig::default());
        let su = AttentionScale::Su {}.value(4.0, 256);
        // Of the longest context, su has the scale there only.
        for (context, policy) in [
            (128, AttentionScale::Constant { value: su }),
            (512, AttentionScale::Constant { value: su }),
            (1024, AttentionScale::Su {}),
        ] {
            let target = TargetRope::beside(&known, context);
            let found = candidate(&known, &target, &config);
            assert_eq!(found.attention, policy, "{context}");
            let found = target.candidate_spec(&found).unwrap();
            assert_eq!(found.resolve(context), known.resolve(context), "{context}");
        }
    }

    #[test]
    fn a_fixed_policy_is_kept() {
        let policy = AttentionScale::Yarn {};
        let config = SearchConfig {
            attention: AttentionSearch::Fixed { policy },
            ..SearchConfig::default()
        };
        let target = TargetRope::beside(&known(), 512);
        assert_eq!(candidate(&known(), &target, &config).attention, policy);
    }

    #[test]
    fn the_own_rope_of_a_model_is_a_candidate() {
        let scaling = RopeScaling::Linear { scale: 4.0 };
        let own = RopeSpec::new(8, 1e4, 256, scaling).unwrap();
        let target = TargetRope::factors(&own, 1024);
        let found = candidate(&own, &target, &SearchConfig::default());
        assert_eq!(found.factors(), [4.0; 4]);
        assert_eq!(found.attention, AttentionScale::None {});
    }

    #[test]
    fn within_the_original_context_a_search_starts_from_two_attention_scales() {
        let (known, config) = (known(), SearchConfig::default());
        let distinct = |context| {
            let target = TargetRope::beside(&known, context);
            target
                .without_equal_starts(&config, &target.problem(), &known)
                .unwrap()
        };
        let short = distinct(128);
        let value = AttentionScale::Su {}.value(4.0, 256);
        assert_eq!(
            short.policies(),
            [AttentionScale::None {}, AttentionScale::Constant { value }]
        );
        assert_eq!(short.seeds, [Seed::None]);
        assert_eq!(distinct(512), config, "nothing is the same there");
    }
}
