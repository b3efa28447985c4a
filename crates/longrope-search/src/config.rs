//! The settings of a search, with the paper's values as defaults.

use longrope_rope::{AttentionScale, pair_of_period};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::problem::SearchProblem;
use crate::seed::Seed;
use crate::space::{CriticalParts, Space, SpaceParts};

/// Grid step of the candidates of the official operators: so fine that it has no effect.
const OFFICIAL_GRID: f64 = 1e-6;

/// How the attention-scale policy of a candidate is found.
///
/// The paper has no attention scale, its code always uses one, and the best one depends on the factors. So the default
/// is to measure several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
#[non_exhaustive]
pub enum AttentionSearch {
    /// Each seed is measured with each of none, su and yarn and keeps the best; descendants inherit it.
    Seeds {},
    /// As `Seeds`, and mutation redraws the policy like any other gene.
    Gene {},
    /// As `Gene`, with a list of policies, which may include constants.
    Among {
        /// The policies.
        policies: Vec<AttentionScale>,
    },
    /// Every candidate has this policy.
    Fixed {
        /// The policy.
        policy: AttentionScale,
    },
}

impl AttentionSearch {
    /// Whether mutation redraws the policy.
    pub(crate) fn is_gene(&self) -> bool {
        matches!(self, Self::Gene {} | Self::Among { .. })
    }
}

/// How new candidates are made from known ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Operators {
    /// The operators of this crate: [`mutate`](crate::mutate) and [`crossover`](crate::crossover).
    Windows,
    /// `dim_mono` of the code released with LongRoPE: see [`official`](crate::official).
    DimMono,
    /// `dim_piece_mono` of the same code: the first factors are 1, the last ones are the scale.
    DimPieceMono,
    /// The operators of LongRoPE2: factors from a critical pair on are genes, the others follow in closed form.
    Critical,
}

/// Settings of a search; the defaults are the paper's.
///
/// In files, keys are in kebab case, unknown keys are an error, and missing keys have their default;
/// [`field_names()`](crate::field_names()) lists them.
///
/// # Reference
/// LongRoPE, arXiv 2402.13753, table 4 and algorithm 1. Not in the paper: the seed `none`, the attention search, the
/// bound on retries (20 in the official code), early stopping, racing, bends, differences and the surrogate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct SearchConfig {
    /// How new candidates are made from known ones.
    pub operators: Operators,
    /// Candidates of the first population, seeds included.
    pub population: usize,
    /// Mutants per generation.
    pub mutations: usize,
    /// Crossovers per generation.
    pub crossovers: usize,
    /// Probability that mutation redraws a gene.
    pub mutation_prob: f64,
    /// Generations after the first population.
    pub generations: usize,
    /// Number of best candidates that may have descendants.
    pub parents: usize,
    /// How often a proposal that is already known is drawn again. After that the duplicate is kept, which costs nothing.
    pub max_retries: usize,
    /// Above this target context `population`, `mutations` and `crossovers` are halved, tokens.
    pub halve_beyond: usize,
    /// Largest factor allowed, as a multiple of the scale.
    pub max_factor_ratio: f64,
    /// Added to the largest factor allowed.
    pub max_factor_extra: f64,
    /// Smallest critical pair; by default the pair whose period fits ten times into the original context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_min: Option<usize>,
    /// Largest critical pair; by default the pair whose period fits once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_max: Option<usize>,
    /// Last pair that candidates with a critical pair leave unscaled; 0 is the paper's closed form.
    pub critical_unscaled: usize,
    /// Grid step of a factor.
    pub step: f64,
    /// Start tokens to choose from.
    pub start_tokens: Vec<usize>,
    /// How the attention-scale policy is found.
    pub attention: AttentionSearch,
    /// Where the search starts.
    pub seeds: Vec<Seed>,
    /// Rotations per context above which the YaRN seed leaves a pair unscaled.
    pub yarn_beta_fast: f64,
    /// Rotations per context below which the YaRN seed scales a pair in full.
    pub yarn_beta_slow: f64,
    /// Stop after this many generations without a new best; never if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<usize>,
    /// Candidates that are worse than the last parent by this many standard errors are dropped before they are scored on
    /// all samples; 0 scores every candidate in full.
    pub racing_strictness: f64,
    /// Share of the mutations that bend all factors smoothly instead of redrawing some.
    pub smooth_share: f64,
    /// Share of the crossovers that add the difference of two parents to a third instead of mixing two.
    pub difference_share: f64,
    /// Proposals drawn for each one that is measured. A model of the scores so far selects; 1 measures all proposals.
    pub surrogate_pool: usize,
    /// Candidates sent to the objective in one call. An interruption loses the scores of at most one call.
    pub batch_candidates: usize,
}

impl Default for SearchConfig {
    fn default() -> Self {
        Self {
            operators: Operators::Windows,
            population: 64,
            mutations: 16,
            crossovers: 16,
            mutation_prob: 0.3,
            generations: 40,
            parents: 32,
            max_retries: 20,
            halve_beyond: 524_288,
            max_factor_ratio: 1.25,
            max_factor_extra: 0.0,
            critical_min: None,
            critical_max: None,
            critical_unscaled: 0,
            step: 0.01,
            start_tokens: vec![0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 64, 128, 256],
            attention: AttentionSearch::Seeds {},
            seeds: vec![Seed::Pi, Seed::Ntk, Seed::Yarn, Seed::None],
            yarn_beta_fast: 32.0,
            yarn_beta_slow: 1.0,
            patience: None,
            racing_strictness: 0.0,
            smooth_share: 0.0,
            difference_share: 0.0,
            surrogate_pool: 1,
            batch_candidates: 32,
        }
    }
}

/// The number of candidates that each part of a search proposes, after halving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// Candidates of the first population.
    pub population: usize,
    /// Mutants per generation.
    pub mutations: usize,
    /// Crossovers per generation.
    pub crossovers: usize,
}

impl SearchConfig {
    /// The search of the code released with LongRoPE: one seed, the bound 1 + s, no start tokens, the attention scale
    /// `su`, and its operators. `piece` selects `dim_piece_mono` instead of `dim_mono`.
    ///
    /// # Reference
    /// github.com/microsoft/LongRoPE, `evolution`.
    pub fn official(piece: bool) -> Self {
        Self {
            operators: if piece {
                Operators::DimPieceMono
            } else {
                Operators::DimMono
            },
            halve_beyond: usize::MAX >> 1,
            max_factor_ratio: 1.0,
            max_factor_extra: 1.0,
            start_tokens: vec![0],
            attention: AttentionSearch::Fixed {
                policy: AttentionScale::Su {},
            },
            seeds: vec![Seed::LinearRamp],
            ..Self::default()
        }
    }

    /// A good choice for most purposes: the paper's space, a quarter of its candidates, and operators that measured
    /// better. The measurements are in `book/src/log.md` of the repository.
    pub fn fast() -> Self {
        Self {
            population: 32,
            mutations: 8,
            crossovers: 8,
            generations: 20,
            parents: 12,
            racing_strictness: 3.0,
            smooth_share: 0.5,
            difference_share: 0.5,
            surrogate_pool: 8,
            ..Self::default()
        }
    }

    /// LongRoPE2's search: critical pairs, factors from s to 2s above, the closed form below, no start tokens.
    ///
    /// # Reference
    /// LongRoPE2, arXiv 2502.20082, algorithm 1. It does not describe its crossover; this crate's is used.
    pub fn v2() -> Self {
        Self {
            operators: Operators::Critical,
            max_factor_ratio: 2.0,
            start_tokens: vec![0],
            attention: AttentionSearch::Fixed {
                policy: AttentionScale::Su {},
            },
            ..Self::default()
        }
    }

    /// Population sizes for a target context: as configured, or halved (rounded up) for a very long one.
    pub fn sizes(&self, target_context: usize) -> Sizes {
        let part = |size: usize| {
            if target_context > self.halve_beyond {
                size.div_ceil(2)
            } else {
                size
            }
        };
        Sizes {
            population: part(self.population),
            mutations: part(self.mutations),
            crossovers: part(self.crossovers),
        }
    }

    /// Number of candidates that a full search proposes, including duplicates but not the trials of attention policies:
    /// 1,344 by default.
    pub fn planned_proposals(&self, target_context: usize) -> usize {
        let sizes = self.sizes(target_context);
        sizes.population + self.generations * (sizes.mutations + sizes.crossovers)
    }

    /// The policies that every seed is measured with.
    pub fn policies(&self) -> Vec<AttentionScale> {
        match &self.attention {
            AttentionSearch::Seeds {} | AttentionSearch::Gene {} => {
                vec![
                    AttentionScale::None {},
                    AttentionScale::Su {},
                    AttentionScale::Yarn {},
                ]
            }
            AttentionSearch::Among { policies } => policies.clone(),
            AttentionSearch::Fixed { policy } => vec![*policy],
        }
    }

    /// The search space of a problem with these settings.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] or [`Error::InvalidProblem`] if either is out of range.
    pub fn space(&self, problem: &SearchProblem) -> Result<Space> {
        problem.validate()?;
        self.validate()?;
        let official = matches!(self.operators, Operators::DimMono | Operators::DimPieceMono);
        let scale = problem.scale();
        let max_factor = self.max_factor_ratio * scale + self.max_factor_extra;
        Space::new(SpaceParts {
            n_pairs: problem.n_pairs(),
            // The official code draws in steps from the factors of the parents, which lie between grid points.
            step: if official { OFFICIAL_GRID } else { self.step },
            min_factor: 1.0,
            // Its ranges sometimes exceed the bound by a step.
            max_factor: if official {
                max_factor + 3.0 * self.step
            } else {
                max_factor
            },
            start_tokens: self.start_tokens.clone(),
            attention: self.policies(),
            critical: (self.operators == Operators::Critical).then(|| self.critical(problem)),
        })
    }

    /// Which pairs may be critical, and the smallest factor from there on.
    fn critical(&self, problem: &SearchProblem) -> CriticalParts {
        let of_periods = |periods| {
            let SearchProblem {
                rotary_dim,
                theta,
                original_context,
                ..
            } = *problem;
            let pair = pair_of_period(rotary_dim, theta, original_context, periods);
            pair.clamp(1, problem.n_pairs() - 1)
        };
        CriticalParts {
            first: self.critical_min.unwrap_or_else(|| of_periods(10.0)),
            last: self.critical_max.unwrap_or_else(|| of_periods(1.0)),
            unscaled: self.critical_unscaled,
            min_factor: problem.scale(),
        }
    }

    /// Checks every key, alone and in relation to others.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] names the first key that is out of range.
    pub fn validate(&self) -> Result<()> {
        let at_least_one = [
            ("population", self.population),
            ("parents", self.parents),
            ("batch-candidates", self.batch_candidates),
            ("surrogate-pool", self.surrogate_pool),
            ("patience", self.patience.unwrap_or(1)),
        ];
        for (key, value) in at_least_one {
            check(key, value >= 1, || {
                (value.to_string(), "at least 1".to_owned())
            })?;
        }
        check(
            "mutations",
            self.generations == 0 || self.mutations + self.crossovers >= 1,
            || {
                (
                    "0, as is `crossovers`".to_owned(),
                    "at least one of the two to be 1 or more".to_owned(),
                )
            },
        )?;
        check("parents", self.parents <= self.population, || {
            (
                self.parents.to_string(),
                format!("at most `population`, {}", self.population),
            )
        })?;
        for (key, value) in [
            ("mutation-prob", self.mutation_prob),
            ("smooth-share", self.smooth_share),
            ("difference-share", self.difference_share),
        ] {
            check(key, (0.0..=1.0).contains(&value), || {
                (value.to_string(), "0 to 1".to_owned())
            })?;
        }
        for (key, value) in [
            ("racing-strictness", self.racing_strictness),
            ("max-factor-extra", self.max_factor_extra),
        ] {
            check(key, value.is_finite() && value >= 0.0, || {
                (value.to_string(), "0 or a positive number".to_owned())
            })?;
        }
        let ratio = self.max_factor_ratio;
        check("max-factor-ratio", ratio.is_finite() && ratio > 0.0, || {
            (ratio.to_string(), "a positive number".to_owned())
        })?;
        check("seeds", !self.seeds.is_empty(), || {
            ("an empty list".to_owned(), "at least one seed".to_owned())
        })?;
        let (fast, slow) = (self.yarn_beta_fast, self.yarn_beta_slow);
        check(
            "yarn-beta-fast",
            fast.is_finite() && slow > 0.0 && fast > slow,
            || {
                (
                    fast.to_string(),
                    format!("a number above `yarn-beta-slow`, {slow}, which is above 0"),
                )
            },
        )
    }
}

/// Turns a failed condition into an error about a key, with (found, expected).
fn check(
    key: &'static str,
    holds: bool,
    describe: impl FnOnce() -> (String, String),
) -> Result<()> {
    if holds {
        return Ok(());
    }
    let (found, expected) = describe();
    Err(Error::InvalidConfig {
        key,
        found,
        expected,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_papers_search_proposes_1344_candidates() {
        let config = SearchConfig::default();
        assert_eq!(config.planned_proposals(262_144), 1344);
        assert_eq!(
            config.planned_proposals(524_288),
            1344,
            "512k itself is not halved"
        );
    }

    #[test]
    fn beyond_512k_sizes_are_halved_but_generations_and_parents_are_not() {
        let config = SearchConfig::default();
        let sizes = config.sizes(524_289);
        assert_eq!(
            sizes,
            Sizes {
                population: 32,
                mutations: 8,
                crossovers: 8
            }
        );
        assert_eq!(config.planned_proposals(2_097_152), 32 + 40 * 16);
        assert_eq!((config.generations, config.parents), (40, 32));
    }

    #[test]
    fn each_bad_key_is_named() {
        let base = SearchConfig::default;
        let cases = [
            (
                "population",
                SearchConfig {
                    population: 0,
                    ..base()
                },
            ),
            (
                "parents",
                SearchConfig {
                    parents: 0,
                    ..base()
                },
            ),
            (
                "parents",
                SearchConfig {
                    parents: 65,
                    ..base()
                },
            ),
            (
                "batch-candidates",
                SearchConfig {
                    batch_candidates: 0,
                    ..base()
                },
            ),
            (
                "patience",
                SearchConfig {
                    patience: Some(0),
                    ..base()
                },
            ),
            (
                "mutations",
                SearchConfig {
                    mutations: 0,
                    crossovers: 0,
                    ..base()
                },
            ),
            (
                "mutation-prob",
                SearchConfig {
                    mutation_prob: 1.5,
                    ..base()
                },
            ),
            (
                "mutation-prob",
                SearchConfig {
                    mutation_prob: f64::NAN,
                    ..base()
                },
            ),
            (
                "max-factor-ratio",
                SearchConfig {
                    max_factor_ratio: -1.0,
                    ..base()
                },
            ),
            (
                "seeds",
                SearchConfig {
                    seeds: vec![],
                    ..base()
                },
            ),
            (
                "yarn-beta-fast",
                SearchConfig {
                    yarn_beta_fast: 0.5,
                    ..base()
                },
            ),
        ];
        for (expected, config) in cases {
            let result = config.validate();
            assert!(
                matches!(result, Err(Error::InvalidConfig { key, .. }) if key == expected),
                "{expected}: {result:?}"
            );
        }
        let message = SearchConfig {
            population: 0,
            ..base()
        }
        .validate()
        .expect_err("no population")
        .to_string();
        assert_eq!(
            message,
            "search config `population` is 0, expected at least 1"
        );
    }

    #[test]
    fn files_are_kebab_case_partial_and_strict() {
        let json = r#"{"mutation-prob":0.5,"seeds":["pi","none"],"attention":{"type":"fixed","policy":{"type":"su"}}}"#;
        let config: SearchConfig = serde_json::from_str(json).expect("known keys");
        assert_eq!(config.seeds, [Seed::Pi, Seed::None]);
        assert_eq!(config.policies(), [AttentionScale::Su {}]);
        assert_eq!(config.population, 64);
        let typo = serde_json::from_str::<SearchConfig>(r#"{"mutation_prob":0.5}"#);
        assert!(typo.is_err_and(|error| error.to_string().contains("mutation-prob")));
        let written = serde_json::to_string(&config).expect("plain data");
        assert_eq!(
            serde_json::from_str::<SearchConfig>(&written).expect("own output"),
            config
        );
    }
}
