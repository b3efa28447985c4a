//! The settings of a search, with the paper's values as defaults.

mod profiles;
mod to_space;
pub(crate) mod unread;
mod validate;

use longrope_rope::AttentionScale;
use serde::{Deserialize, Serialize};

use crate::candidate::canonical_start_tokens;
use crate::seed::Seed;

/// How the attention-scale policy of a candidate is found.
///
/// The paper has no attention scale, its code always uses one, and the best one depends on the factors. So the default
/// is to measure several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "kebab-case",
    deny_unknown_fields,
    expecting = "a table whose `type` is `seeds`, `gene`, `among` or `fixed`"
)]
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
/// LongRoPE, arXiv 2402.13753, table 4 and algorithm 1. Only in the paper: 1 start token. Not in the paper: the seeds `none` and `dynamic-ntk`, the attention search, the
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
    /// Start tokens to choose from. 1 is the same as 0, because nothing rotates position 0; a new search takes it as 0.
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
            start_tokens: vec![0, 2, 4, 8, 12, 16, 20, 24, 28, 32, 64, 128, 256],
            attention: AttentionSearch::Seeds {},
            seeds: vec![
                Seed::Pi,
                Seed::Ntk,
                Seed::Yarn,
                Seed::None,
                Seed::DynamicNtk,
            ],
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
    /// The same settings without the start token 1, which would be a second 0.
    #[must_use]
    pub fn canonical(mut self) -> Self {
        let mut distinct = Vec::with_capacity(self.start_tokens.len());
        for start_tokens in self.start_tokens.into_iter().map(canonical_start_tokens) {
            if !distinct.contains(&start_tokens) {
                distinct.push(start_tokens);
            }
        }
        self.start_tokens = distinct;
        self
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
