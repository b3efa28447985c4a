//! What is searched for: the RoPE of a model with one more factor set.

use longrope_rope::{FactorSet, RescaleFactors, Result, RopeScaling, RopeSpec};

use crate::candidate::Candidate;
use crate::factor_sets::{fixed_sets, short_sets};
use crate::problem::SearchProblem;
use crate::scored::Scored;

/// The RoPE of a model with a factor set that is still to be found.
///
/// It defines the [`SearchProblem`], turns a [`Candidate`] into the RoPE to measure ([`candidate_spec`]) and the best
/// candidate into the RoPE to save ([`spec`]).
///
/// ```
/// use longrope_rope::{RopeScaling, RopeSpec};
/// use longrope_search::{Candidate, FnObjective, Outcome, Search, SearchConfig, TargetRope};
///
/// let rope = RopeSpec::new(16, 10_000.0, 2048, RopeScaling::None {})?;
/// let target = TargetRope::factors(&rope, 8192);
/// let config = SearchConfig { generations: 2, ..SearchConfig::fast() };
/// let mut search = Search::new(target.problem(), config, 42)?;
///
/// // A formula in place of a model: the best factors are 2.
/// let mut objective = FnObjective::new(1, |candidate: &Candidate, _sample| {
///     let rope = target.candidate_spec(candidate).expect("candidates are valid");
///     let set = rope.factor_set(8192).expect("a candidate is one factor set");
///     Outcome::Loss(set.factors.as_slice().iter().map(|factor| (factor - 2.0).powi(2)).sum())
/// });
/// while !search.is_done() {
///     search.step(&mut objective)?;
/// }
/// let spec = target.spec(search.best().expect("a step was made"))?;
/// assert_eq!(spec.max_context(), 8192);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// [`candidate_spec`]: Self::candidate_spec
/// [`spec`]: Self::spec
#[derive(Clone, Debug)]
pub struct TargetRope {
    /// The RoPE of the model, unscaled.
    base: RopeSpec,
    /// The longest context of the set that is searched for, tokens.
    target: usize,
    problem: SearchProblem,
    /// A candidate's factors are multiplied by these, if there are any.
    ground: Option<RescaleFactors>,
    /// Sets for other contexts, saved together with the one that is searched for.
    others: Vec<FactorSet>,
    /// The RoPE that the model has now, if it is scaled.
    own: Option<RopeSpec>,
    /// The RoPE of `ground`, with all its sets, if ratios are searched.
    known: Option<RopeSpec>,
}

impl TargetRope {
    /// Searches rescale factors for up to `target` tokens, of a model with the RoPE `own`.
    ///
    /// Candidates rescale the plain RoPE. In sequences within the original context, the saved RoPE does what `own` does there,
    /// or is plain if factors cannot do that, so short texts do not lose quality.
    pub fn factors(own: &RopeSpec, target: usize) -> Self {
        let is_scaled = own.scaling != RopeScaling::None {};
        Self {
            base: own.plain(),
            target,
            problem: problem(own, target),
            ground: None,
            others: if target > own.original_context {
                short_sets(own)
            } else {
                Vec::new()
            },
            own: is_scaled.then(|| own.clone()),
            known: None,
        }
    }

    /// Searches ratios: a candidate's factors are multiplied by those of `ground`, a factor set of `known`.
    ///
    /// The saved RoPE keeps the sets of `known` for contexts below `target`. The scale of the problem is
    /// `target / known.max_context()`, because `known` already covers the rest.
    pub fn ratios(known: &RopeSpec, ground: &FactorSet, target: usize) -> Self {
        Self {
            base: known.plain(),
            target,
            problem: SearchProblem {
                original_context: known.max_context(),
                ..problem(known, target)
            },
            ground: Some(ground.factors.clone()),
            others: fixed_sets(known)
                .into_iter()
                .filter(|set| set.max_context < target)
                .collect(),
            own: None,
            known: Some(known.clone()),
        }
    }

    /// Searches factors for up to `context` tokens that replace or join the sets of `known`.
    ///
    /// A context below the original one has the scale 1.
    pub fn beside(known: &RopeSpec, context: usize) -> Self {
        Self {
            base: known.plain(),
            target: context,
            problem: problem(known, context.max(known.original_context)),
            ground: None,
            others: fixed_sets(known)
                .into_iter()
                .filter(|set| set.max_context != context)
                .collect(),
            own: None,
            known: None,
        }
    }

    /// The problem to give to [`Search::new`](crate::Search::new).
    pub fn problem(&self) -> SearchProblem {
        self.problem
    }

    /// The RoPE of the model, unscaled.
    pub fn base(&self) -> &RopeSpec {
        &self.base
    }

    /// The RoPE that the model has now; `None` if it is plain, and if ratios or sets beside others are searched.
    pub fn own(&self) -> Option<&RopeSpec> {
        self.own.as_ref()
    }

    /// The RoPE whose factors a candidate's ratios multiply; `None` unless ratios are searched. Beyond its contexts it goes on
    /// as at the longest of them.
    pub fn known(&self) -> Option<&RopeSpec> {
        self.known.as_ref()
    }

    /// The same search for a model with a plain RoPE. Earlier versions took every model for one.
    #[must_use]
    pub fn without_own(&self) -> Self {
        if self.own.is_none() {
            return self.clone();
        }
        Self::factors(&self.base, self.target)
    }

    /// The longest context of the set that is searched for, tokens.
    pub fn target(&self) -> usize {
        self.target
    }

    /// The factors that a candidate's factors are multiplied by, one per pair; `None` unless ratios are searched.
    pub fn ground(&self) -> Option<&[f64]> {
        self.ground.as_ref().map(RescaleFactors::as_slice)
    }

    /// The RoPE to measure a candidate with: its factor set alone, at every length.
    ///
    /// # Errors
    /// The errors of [`RopeSpec::validate`], for instance if the number of factors does not match.
    pub fn candidate_spec(&self, candidate: &Candidate) -> Result<RopeSpec> {
        RopeSpec {
            scaling: RopeScaling::LongRope {
                sets: vec![self.set(candidate)?],
                attention: candidate.attention,
            },
            ..self.base.clone()
        }
        .validated()
    }

    /// The RoPE to save for a candidate: its factor set and the sets for other contexts.
    ///
    /// # Errors
    /// The errors of [`RopeSpec::validate`], for instance if the number of factors does not match.
    pub fn artifact_spec(&self, candidate: &Candidate) -> Result<RopeSpec> {
        let is_largest = self.others.iter().all(|set| set.max_context < self.target);
        let mut own = self.set(candidate)?;
        // The policy of the whole RoPE is evaluated at its largest context, so a smaller set needs its own.
        if !is_largest {
            own.attention = Some(candidate.attention);
        }
        let mut sets = self.others.clone();
        sets.push(own);
        sets.sort_by_key(|set| set.max_context);
        let attention = candidate.attention;
        RopeSpec {
            scaling: RopeScaling::LongRope { sets, attention },
            ..self.base.clone()
        }
        .validated()
    }

    /// The RoPE to save for the result of a search, [`Search::best`](crate::Search::best).
    ///
    /// # Errors
    /// The errors of [`artifact_spec`](Self::artifact_spec).
    pub fn spec(&self, best: &Scored) -> Result<RopeSpec> {
        self.artifact_spec(&best.candidate)
    }

    fn set(&self, candidate: &Candidate) -> Result<FactorSet> {
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

/// The search from the original context of `base` to `target` tokens.
fn problem(base: &RopeSpec, target: usize) -> SearchProblem {
    SearchProblem {
        rotary_dim: base.rotary_dim,
        theta: base.theta,
        original_context: base.original_context,
        target_context: target,
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::AttentionScale;

    use super::*;
    use crate::config::SearchConfig;

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
        let second = TargetRope::ratios(&first, ground, 2048);
        assert_eq!((second.known(), second.own()), (Some(&first), None));
        let second = second
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

    #[test]
    fn within_the_original_context_a_scaled_model_keeps_its_own_rope() {
        let scaling = RopeScaling::Llama3 {
            scale: 4.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
        };
        let own = RopeSpec::new(8, 1e4, 256, scaling).unwrap();
        let target = TargetRope::factors(&own, 2048);
        assert_eq!((target.own(), target.base()), (Some(&own), &base()));
        let found = target.artifact_spec(&candidate(&[2.0; 4])).unwrap();
        let (short, expected) = (found.resolve(256), own.resolve(256));
        for (short, expected) in short.inv_freq().iter().zip(expected.inv_freq()) {
            assert!((short / expected - 1.0).abs() < 1e-12);
        }
        assert_eq!(factors(&found, 257), [2.0; 4]);
        let plain = target.without_own();
        assert_eq!(plain.own(), None);
        let found = plain.artifact_spec(&candidate(&[2.0; 4])).unwrap();
        assert_eq!(factors(&found, 256), [1.0; 4]);
    }

    #[test]
    fn problems_are_scaled_from_what_is_known() {
        let contexts = |target: &TargetRope| {
            let problem = target.problem();
            assert_eq!(problem.rotary_dim, 8);
            assert!((problem.theta - 1e4).abs() < f64::EPSILON);
            (problem.original_context, problem.target_context)
        };
        let first = TargetRope::factors(&base(), 1024);
        assert_eq!(contexts(&first), (256, 1024));
        let known = first.artifact_spec(&candidate(&[2.0; 4])).unwrap();
        let ground = known.factor_set(1024).unwrap();
        let ratios = TargetRope::ratios(&known, ground, 4096);
        assert_eq!(contexts(&ratios), (1024, 4096));
        assert_eq!(contexts(&TargetRope::beside(&known, 512)), (256, 512));
        assert_eq!(contexts(&TargetRope::beside(&known, 100)), (256, 256));
    }
}
