//! What must be the same for a recovery to be continued.

use std::path::Path;

use longrope_rope::RopeSpec;
use longrope_search::SearchConfig;
use serde_json::{Value, json};

use crate::error::Result;
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
