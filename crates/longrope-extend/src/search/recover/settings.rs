//! What must be the same for a recovery to be continued.

use std::path::Path;

use longrope_rope::RopeSpec;
use longrope_search::{SearchConfig, Seed, TargetRope};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::run_folder::RunFolder;
use crate::search::calibration::CalibrationOptions;
use crate::search::objective::kind::ObjectiveKind;

/// The settings of a recovery that are known before its model and its text are loaded.
#[derive(Clone, Copy, Debug)]
pub struct RecoverySettings<'a> {
    /// The RoPE of the extended model.
    pub known: &'a RopeSpec,
    /// The name of the operators and their settings.
    pub profile: &'a str,
    /// Largest factor allowed, as in [`RecoveryTask`](super::RecoveryTask).
    pub max_factor_ratio: f64,
    /// The settings of the evolution.
    pub evolution: &'a SearchConfig,
    /// The choice of samples.
    pub calibration: &'a CalibrationOptions,
}

impl RecoverySettings<'_> {
    /// Compares them with those of the recovery that was begun in a folder. Nothing is written.
    ///
    /// # Errors
    /// [`Error::OtherSettings`](crate::Error::OtherSettings); a `run.json` that cannot be read.
    pub fn check_begun(&self, out: &Path) -> Result<()> {
        RunFolder::check_known(out, &self.fixed())
    }

    /// Checks that the starts of the search for each context fit into its first population. As long as the factors are not
    /// known, `known` may be the RoPE of the model.
    ///
    /// # Errors
    /// [`Error::Recovering`] for the first context at which they do not.
    pub fn check_starts(&self, contexts: &[usize]) -> Result<()> {
        let evolution = common_evolution(self.max_factor_ratio, self.evolution);
        for &context in contexts {
            let target = TargetRope::beside(self.known, context);
            let problem = target.problem();
            let own = target.without_equal_starts(&evolution, &problem, self.known);
            // The known factors are one more.
            own.and_then(|own| own.check_starts(1, problem.target_context))
                .map_err(|source| Error::Recovering {
                    context,
                    source: Box::new(source.into()),
                })?;
        }
        Ok(())
    }

    /// By the keys of `run.json`.
    pub(super) fn fixed(&self) -> Value {
        let calibration = self.calibration;
        let mut fixed = json!({
            "rope": self.known,
            "seed": calibration.seed,
            "search.profile": self.profile,
            "recover.max-factor-ratio": self.max_factor_ratio,
            "search": self.evolution,
            "search.samples": calibration.samples,
            "search.objective": calibration.objective.description(),
        });
        if calibration.objective != ObjectiveKind::Perplexity {
            fixed["search-needle"] = json!(calibration.needles);
            fixed["search.needle-weight"] = json!(calibration.needle_weight);
        }
        fixed
    }
}

/// The settings of an evolution with the bounds and the seeds of a recovery.
pub(super) fn common_evolution(max_factor_ratio: f64, evolution: &SearchConfig) -> SearchConfig {
    let mut evolution = SearchConfig {
        max_factor_ratio,
        max_factor_extra: 0.0,
        ..evolution.clone()
    };
    // Dynamic NTK is for contexts beyond the original one. Recovery starts from the factors that are known.
    if evolution.seeds == SearchConfig::default().seeds {
        evolution.seeds.retain(|seed| *seed != Seed::DynamicNtk);
    }
    evolution
}
