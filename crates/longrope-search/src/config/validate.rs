//! The checks of the settings.

use super::SearchConfig;
use crate::error::{Error, Result};

impl SearchConfig {
    /// Checks that seeds and `n_init` initial candidates fit into the first population.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] if they do not.
    pub fn check_starts(&self, n_init: usize, target_context: usize) -> Result<()> {
        let n_starts = self.seeds.len() + n_init;
        let population = self.sizes(target_context).population;
        if n_starts <= population {
            return Ok(());
        }
        Err(Error::InvalidConfig {
            key: "population",
            found: population.to_string(),
            expected: format!("at least {n_starts}, the number of seeds and initial candidates"),
        })
    }

    /// Checks every key, alone and in relation to others.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`] names the first key that is out of range.
    pub fn validate(&self) -> Result<()> {
        self.validate_counts()?;
        self.validate_shares()?;
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

    /// The counts, and which of them go together.
    fn validate_counts(&self) -> Result<()> {
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
            self.generations == 0 || self.mutations >= 1 || self.crossovers >= 1,
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
        })
    }

    /// The shares and other numbers that may be 0.
    fn validate_shares(&self) -> Result<()> {
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
        Ok(())
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
}
