//! A stage with its configuration.

use std::path::{Path, PathBuf};

use longrope_extend::recipe::{Place, PlannedStage, is_inside};

use crate::failure::InStage;
use crate::settings::path_text::from_text;
use crate::settings::recipe::StageConfig;

/// A stage and its configuration.
pub(super) type Planned = PlannedStage<StageConfig>;

/// The context of errors about a stage.
pub(super) fn in_stage(stage: &Planned) -> InStage {
    InStage {
        name: stage.name.clone(),
        verb: stage.verb,
        folder: stage.folder.clone(),
    }
}

/// Whether a RoPE is in the folder of the run. What stages find is not there yet.
pub(super) fn is_of_run(name: &str, place: &Place) -> bool {
    let run = place.folder.parent().unwrap_or(Path::new(""));
    !run.as_os_str().is_empty() && is_inside(&from_text(PathBuf::from(name)), run)
}
