//! Hints for errors in a stage of a recipe, whose folder belongs to the run, so that there is no other folder to
//! choose. Flags in other hints [become keys](super::keys).

use std::error::Error as StdError;

use longrope_eval::{ChangedSetting, Error as V};
use longrope_extend::Error as E;
use longrope_trainer::Error as T;

use super::context_folder::context_of;
use super::extend::{other_tokens, search_inputs};
use super::{find, other_settings};
use crate::failure::hint::InStage;

/// The hint for one error in a chain of causes; `None` if it is the one that commands have, or none.
pub(crate) fn hint_in_stage(cause: &(dyn StdError + 'static), stage: &InStage) -> Option<String> {
    find::<V>(cause)
        .and_then(|error| of_eval(error, stage))
        .or_else(|| find::<T>(cause).and_then(|error| of_training(error, stage)))
        .or_else(|| find::<E>(cause).and_then(|error| of_run(error, stage)))
}

/// Something to restore; without it, the stage can only run again.
fn or_again(restore: &str, stage: &InStage) -> String {
    format!("{restore}, or {}", again(stage))
}

/// What makes a stage run again.
fn again(stage: &InStage) -> String {
    format!(
        "remove `{}`, and --resume runs the stage again from its start",
        stage.folder.display()
    )
}

/// For errors of measurements.
fn of_eval(error: &V, stage: &InStage) -> Option<String> {
    let restored = |what: &str| or_again(&format!("restore {what}"), stage);
    Some(match error {
        V::StatePrecision { saved, .. } => {
            let setting = format!("set precision = \"{saved}\" for the stage");
            or_again(&setting, stage)
        }
        V::StateSettings { changes, .. } if changes.iter().any(ChangedSetting::is_task_version) => {
            let version = "this version asks other prompts: resume with the version that began it";
            or_again(version, stage)
        }
        V::StateSettings { changes, .. } if changes.iter().any(|it| it.name == "questions") => {
            restored("`bench.limit` in the recipe")
        }
        V::StateQuestions { .. } => restored("`bench.limit` in the recipe"),
        V::StateSettings { changes, .. } => or_again(&other_settings::of_stage(changes), stage),
        V::StateLayers { .. } => restored("`rope-layers` in the recipe"),
        V::StateModel { .. } => restored("the model that the stage was begun with"),
        V::StateText { .. } => restored("the text or the questions that the stage was begun with"),
        V::StateTrials { .. } | V::StateJson { .. } | V::StateFormat { .. } => {
            restored("the state from a copy")
        }
        V::StateVersion { .. } => or_again(
            "resume with the version of longrope that wrote the file",
            stage,
        ),
        _ => return None,
    })
}

/// For errors of trainings.
fn of_training(error: &T, stage: &InStage) -> Option<String> {
    let folder = stage.folder.display();
    let with = |change: &str| {
        format!("{change}, and remove `{folder}`: --resume then trains again from the start")
    };
    Some(match error {
        T::NotFinite { .. } | T::WeightNotFinite { .. } => {
            with("set a lower `train.learning-rate` or more `train.warmup-steps` for the stage")
        }
        T::NeverFinite { .. } => with(
            "check the weights of the model, or set a lower `train.learning-rate` for the stage",
        ),
        T::NothingCounts { .. } => with("give the stage a longer `train.context` or other text"),
        T::NoWholeState { .. } => or_again("restore one of the folders step-* from a copy", stage),
        T::StatesGone { .. } => or_again("put the folders step-* back", stage),
        T::ModelInPlace { folder: model } => format!(
            "move `{}` away: it may be a model that you still need",
            model.display()
        ),
        T::OtherSettings { .. } => or_again(
            "restore the settings, the model and the text that the stage was begun with, which its config.toml names",
            stage,
        ),
        _ => return None,
    })
}

/// For errors of searches and recoveries, and of the folder of the stage.
fn of_run(error: &E, stage: &InStage) -> Option<String> {
    Some(match error {
        E::Eval(error) => return of_eval(error, stage),
        E::Trainer(error) => return of_training(error, stage),
        E::OtherKind { .. } => again(stage),
        E::ForeignFolder { .. } => {
            format!("move what is in `{}` away", stage.folder.display())
        }
        E::FolderInUse { .. } => "wait until the other process ends".to_owned(),
        E::OtherSettings { changes, .. } => or_again(&other_settings::of_stage(changes), stage),
        E::OtherInputs { what } => {
            let restore = format!(
                "restore the {} that the stage was begun with, which its config.toml has",
                search_inputs(what)
            );
            or_again(&restore, stage) + other_tokens(what)
        }
        // Of one context of a recovery, less has to be done again.
        E::SearchStateGone { path, .. }
        | E::InputsMissing { path }
        | E::ReadState { path, .. }
        | E::ReadJson { path, .. }
            if context_of(path).is_some() =>
        {
            return None;
        }
        E::SearchStateGone { .. } => or_again("put search/state.json back", stage),
        E::InputsMissing { .. } | E::ReadState { .. } => {
            or_again("restore the file from a copy", stage)
        }
        E::ReadJson { path, .. } if path.ends_with("search/inputs.json") => {
            or_again("the file is damaged: restore it from a copy", stage)
        }
        _ => return None,
    })
}
