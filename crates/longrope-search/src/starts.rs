//! Where a search starts: every seed with every attention-scale policy, and the candidates of the caller.

use longrope_rope::{
    AttentionScale, YarnRamp, linear_ramp_factors, ntk_factors, pi_factors, yarn_factors,
};
use serde::{Deserialize, Serialize};

use crate::candidate::{Candidate, Shape};
use crate::config::{Operators, SearchConfig};
use crate::error::Result;
use crate::loss_json;
use crate::problem::SearchProblem;
use crate::seed::Seed;
use crate::space::Space;

impl Seed {
    /// The seed's factors for a problem, before they are rounded to the grid.
    pub fn factors(self, problem: &SearchProblem, config: &SearchConfig) -> Vec<f64> {
        let (n_pairs, scale) = (problem.n_pairs(), problem.scale());
        let ramp = YarnRamp {
            rotary_dim: problem.rotary_dim,
            theta: problem.theta,
            original_context: problem.original_context,
            beta_fast: config.yarn_beta_fast,
            beta_slow: config.yarn_beta_slow,
        };
        match self {
            Self::Pi => pi_factors(n_pairs, scale),
            Self::Ntk => ntk_factors(n_pairs, scale),
            // At `s` times the original context, the base has grown as for `s·s - (s - 1)` times.
            Self::DynamicNtk => ntk_factors(n_pairs, scale * scale - (scale - 1.0)),
            Self::Yarn => yarn_factors(ramp, scale),
            Self::LinearRamp => linear_ramp_factors(ramp, scale),
            Self::None => vec![1.0; n_pairs],
        }
    }
}

/// The score of a seed with one attention-scale policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeedScore {
    /// [`Seed::name`], or `init-0`, `init-1` and so on for candidates of the caller.
    pub name: String,
    /// The policy.
    pub attention: AttentionScale,
    /// Mean loss over the samples, nats per token; infinite if it could not be measured.
    #[serde(
        with = "loss_json",
        default = "loss_json::not_measured",
        skip_serializing_if = "loss_json::is_not_finite"
    )]
    pub score: f64,
    /// Whether this is the seed's best policy, which is the one in the first population.
    pub kept: bool,
}

/// A seed as candidates, one per policy.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    pub(crate) name: String,
    pub(crate) trials: Vec<Candidate>,
}

/// The configured seeds with each policy, then the caller's candidates unchanged.
pub(crate) fn starts(
    problem: &SearchProblem,
    config: &SearchConfig,
    space: &Space,
    init: &[Candidate],
) -> Result<Vec<Start>> {
    let mut starts = Vec::with_capacity(config.seeds.len() + init.len());
    for seed in &config.seeds {
        let factors = seed.factors(problem, config);
        let trial = |attention| {
            let mut candidate = space.nearest(&factors, 0, attention)?;
            if config.operators == Operators::DimPieceMono {
                candidate.shape = Shape::Piece { from: 0, to: 0 };
            }
            Ok(candidate)
        };
        let trials = config
            .policies()
            .into_iter()
            .map(trial)
            .collect::<Result<_>>()?;
        starts.push(Start {
            name: seed.name().to_owned(),
            trials,
        });
    }
    let given = init.iter().enumerate();
    starts.extend(given.map(|(index, one)| Start {
        name: format!("init-{index}"),
        trials: vec![one.clone()],
    }));
    Ok(starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROBLEM: SearchProblem = SearchProblem {
        rotary_dim: 128,
        theta: 10_000.0,
        original_context: 4096,
        target_context: 131_072,
    };

    #[test]
    fn seeds_are_the_closed_forms() {
        let config = SearchConfig::default();
        let ends = |seed: Seed| {
            let space = config.space(&PROBLEM).expect("valid");
            let factors = seed.factors(&PROBLEM, &config);
            let steps = space
                .nearest(&factors, 0, AttentionScale::None {})
                .expect("finite")
                .steps;
            (steps[0], steps[63])
        };
        assert_eq!(ends(Seed::Pi), (3200, 3200));
        assert_eq!(ends(Seed::Ntk), (100, 3200));
        // It ends at 32² - 31, beyond the largest factor of the search.
        assert_eq!(ends(Seed::DynamicNtk), (100, 4000));
        assert_eq!(ends(Seed::Yarn), (100, 3200));
        assert_eq!(ends(Seed::None), (100, 100));
    }

    #[test]
    fn seeds_are_tried_with_every_policy_and_given_candidates_as_they_are() {
        let config = SearchConfig::default();
        let space = config.space(&PROBLEM).expect("valid");
        let given = space
            .nearest(&[2.0; 64], 4, AttentionScale::Su {})
            .expect("finite");
        let starts =
            starts(&PROBLEM, &config, &space, std::slice::from_ref(&given)).expect("valid");
        let counts: Vec<_> = starts
            .iter()
            .map(|start| (start.name.as_str(), start.trials.len()))
            .collect();
        assert_eq!(
            counts,
            [
                ("pi", 3),
                ("ntk", 3),
                ("yarn", 3),
                ("none", 3),
                ("dynamic-ntk", 3),
                ("init-0", 1)
            ]
        );
        assert_eq!(starts[5].trials, [given]);
    }
}
