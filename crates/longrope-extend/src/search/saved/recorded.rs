//! `search/inputs.json`: what the scores of a search depend on.

use std::path::Path;

use longrope_model::rope_fingerprint;
use longrope_rope::{RopeScaling, RopeSpec};
use longrope_search::TargetRope;
use serde::{Deserialize, Serialize};

use super::search_input::SearchInput;
use crate::error::{Error, Result};
use crate::json_files::read_json;
use crate::run_folder::{RunFolder, RunMode};
use crate::search::adapt::{AdaptConfig, RecordedAdapt};
use crate::search::calibration::Calibration;
use crate::search::inputs::SearchInputs;
use crate::search::objective::choice::ObjectiveChoice;
use crate::search::objective::kind::ObjectiveKind;

/// Relative to the run folder.
pub(in crate::search) const INPUTS_FILE: &str = "search/inputs.json";
/// Begins the text about a combined objective, before its weight.
const COMBINED: &str = "combined, needles ";

/// `search/inputs.json`: the inputs of the scores. A search can be resumed only with the same inputs.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::search) struct Recorded {
    format: String,
    version: u32,
    model_fingerprint: String,
    /// Fingerprint of the samples.
    pub(in crate::search) text_fingerprint: String,
    /// What is minimized, with its weight.
    objective: String,
    /// How the objective was chosen; `None` if it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::search) objective_choice: Option<ObjectiveChoice>,
    /// The factors that the ratios of a candidate multiply, if candidates are ratios.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ground: Option<Vec<f64>>,
    /// Fingerprint of the text that the search does not see; `None` if none is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::search) held_out_fingerprint: Option<String>,
    /// How the model is adapted to candidates; `None` if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::search) adapt: Option<RecordedAdapt>,
    /// The precision of the weights, if it is not the default of the CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    precision: Option<String>,
    /// Which layers a RoPE is for, if not for those that see all tokens only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rope_layers: Option<String>,
    /// Fingerprint of the RoPE that the model has now; `None` if it is plain, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_rope: Option<String>,
}

impl Recorded {
    /// `own` is the RoPE that the model has now.
    pub(in crate::search) fn new(
        inputs: &SearchInputs,
        calibration: &Calibration,
        target: &TargetRope,
        own: &RopeSpec,
    ) -> Self {
        let options = &inputs.calibration;
        let objective = match options.objective {
            ObjectiveKind::Combined => format!("{COMBINED}{}", options.needle_weight),
            other => other.description().to_owned(),
        };
        Self {
            format: "longrope-search-inputs".to_owned(),
            version: 2,
            model_fingerprint: inputs.source.model_fingerprint.clone(),
            text_fingerprint: calibration.fingerprint(),
            objective,
            objective_choice: None,
            ground: target.ground().map(<[f64]>::to_vec),
            held_out_fingerprint: None,
            adapt: None,
            precision: inputs.source.half_precision().map(str::to_owned),
            rope_layers: inputs.source.rope_layers.clone(),
            own_rope: (own.scaling != RopeScaling::None {}).then(|| rope_fingerprint(own)),
        }
    }

    /// The inputs of the search that is continued in this folder, if it can be read. What cannot be read is reported when
    /// it is resumed.
    pub(in crate::search) fn of_begun(out: &Path, mode: RunMode) -> Option<Self> {
        match mode {
            RunMode::New => None,
            _ => read_json(&out.join(INPUTS_FILE)).ok(),
        }
    }

    /// Whether the search took the model for one with a plain RoPE, as earlier versions took every model.
    pub(in crate::search) fn took_for_plain(&self) -> bool {
        self.own_rope.is_none()
    }

    /// What is minimized.
    pub(in crate::search) fn objective_kind(&self) -> Option<ObjectiveKind> {
        if self.objective.starts_with(COMBINED) {
            return Some(ObjectiveKind::Combined);
        }
        ObjectiveKind::of_description(&self.objective)
    }

    /// The settings of the adaptation, and its target.
    fn settings(&self) -> Option<(&AdaptConfig, usize)> {
        let adapt = self.adapt.as_ref()?;
        Some((&adapt.settings, adapt.target))
    }

    /// Checks that the search was started with the same inputs.
    pub(in crate::search) fn check(&self, run: &RunFolder) -> Result<()> {
        let path = run.path(INPUTS_FILE);
        if !path.is_file() {
            return Err(Error::InputsMissing { path });
        }
        let saved: Self = read_json(&path)?;
        let what = saved.differing_inputs(self);
        if what.is_empty() {
            Ok(())
        } else {
            Err(Error::OtherInputs { what })
        }
    }

    /// The inputs that are others now. What is minimized, how the model is adapted and the model itself also decide
    /// what the samples are, and the model has a RoPE of its own: what may follow from these is not named beside them.
    fn differing_inputs(&self, now: &Self) -> Vec<SearchInput> {
        let other_model = self.model_fingerprint != now.model_fingerprint;
        let other_adapt = self.settings() != now.settings();
        let other_objective = self.objective != now.objective;
        let other_samples = self.text_fingerprint != now.text_fingerprint
            || self.held_out_fingerprint != now.held_out_fingerprint
            || self.adapt != now.adapt;
        let follows = other_model || other_adapt || other_objective;
        let inputs = [
            (SearchInput::Model, other_model),
            (SearchInput::Precision, self.precision != now.precision),
            (SearchInput::RopeLayers, self.rope_layers != now.rope_layers),
            (
                SearchInput::OwnRope,
                self.own_rope != now.own_rope && !other_model,
            ),
            (SearchInput::Adapt, other_adapt),
            (SearchInput::Text, other_samples && !follows),
            (SearchInput::Objective, other_objective),
            (SearchInput::Ground, self.ground != now.ground),
        ];
        let differing = inputs.into_iter().filter(|(_, differs)| *differs);
        differing.map(|(input, _)| input).collect()
    }
}
