//! Hints for errors in a stage of a recipe: its settings are keys of the recipe and its folder belongs to the run, so there
//! are no flags to give and no other folder to choose.

use std::error::Error as StdError;

use longrope_data::Error as D;
use longrope_eval::bench::BenchError as B;
use longrope_eval::{ChangedSetting, Error as V};
use longrope_extend::{Error as E, SearchInput};
use longrope_trainer::Error as T;

use super::extend::{OTHER_TOKENS, context_of};
use super::{eval, find};
use crate::failure::hint::InStage;

/// The hint for one error in a chain of causes; `None` if it is the one that commands have, or none.
pub(crate) fn hint_in_stage(cause: &(dyn StdError + 'static), stage: &InStage) -> Option<String> {
    find::<D>(cause)
        .and_then(of_text)
        .or_else(|| find::<B>(cause).and_then(of_bench))
        .or_else(|| find::<V>(cause).and_then(|error| of_eval(error, stage)))
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

/// For errors of texts and windows.
fn of_text(error: &D) -> Option<String> {
    Some(
        match error {
            D::NoPaths => "give the stage files or folders as `text`",
            D::NothingToTrainOn { .. } => "give the stage `text`, or token ids as `tokens`",
            D::BadStride { .. } => {
                "set `eval.stride` to at most the smallest of the `contexts` of the stage"
            }
            D::BadWithin { .. } => {
                "set `eval.within` to at least the largest of the `contexts` of the stage"
            }
            _ => return None,
        }
        .to_owned(),
    )
}

/// For errors of benchmarks.
fn of_bench(error: &B) -> Option<String> {
    Some(match error {
        B::TooFewExamples { found, .. } => format!(
            "give more files of examples as `bench.fewshot`, or set `bench.shots` to {found} or less"
        ),
        B::ZeroShotOnly { .. } => "leave out `bench.shots`".to_owned(),
        B::AnswerTokens { .. } => "set a larger context in the `contexts` of the stage".to_owned(),
        _ => return None,
    })
}

/// For errors of measurements.
fn of_eval(error: &V, stage: &InStage) -> Option<String> {
    let restored = |what: &str| or_again(&format!("restore {what}"), stage);
    Some(match error {
        V::Bench(error) => return of_bench(error),
        V::Data(error) | V::Windows(error) => return of_text(error),
        V::ContextTooShort { .. } => "set longer `contexts` in the stage".to_owned(),
        V::MissingData { .. } => {
            "give the stage `text`, `ruler.squad` or `ruler.hotpotqa`, or choose other `ruler.tasks`"
                .to_owned()
        }
        V::MissingPlaceholder {
            setting: "needle",
            placeholder: "{value}",
            ..
        } => {
            "write {value} into `needle.needle`, or set `needle.answer` too: the end of your sentence"
                .to_owned()
        }
        V::InvalidSetting {
            task,
            setting,
            expected,
            ..
        } => eval::key_hint(task, setting, expected),
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
        V::StateSettings { .. } => restored("the old values in the recipe"),
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
        T::Data(error) => return of_text(error),
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
        E::Data(error) => return of_text(error),
        E::Eval(error) => return of_eval(error, stage),
        E::Trainer(error) => return of_training(error, stage),
        E::NeedlesNeedTokenizer => {
            "give the stage `text`, and a model folder with a tokenizer.json".to_owned()
        }
        E::NoFactorSets => "give the stage the rope.json of a search as `rope`".to_owned(),
        E::OtherKind { .. } => again(stage),
        E::ForeignFolder { .. } => {
            format!("move what is in `{}` away", stage.folder.display())
        }
        E::FolderInUse { .. } => "wait until the other process ends".to_owned(),
        E::OtherSettings { changes, .. } => or_again(to_restore(changes), stage),
        E::OtherInputs {
            what: SearchInput::Text,
        } => {
            let restore = "restore the text, `search.samples` and `search-needle` that the stage was begun with, which its \
                           config.toml has";
            format!("{}; {OTHER_TOKENS}", or_again(restore, stage))
        }
        E::OtherInputs { what } => or_again(
            &format!("restore the {what} that the stage was begun with"),
            stage,
        ),
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

/// What to restore if a stage would be continued with other settings than it was begun with.
fn to_restore(changes: &[ChangedSetting]) -> &'static str {
    let differ = |names: &[&str]| {
        let mut keys = changes.iter().map(|change| change.name.as_str());
        keys.any(|key| names.contains(&key))
    };
    if differ(&["text", "eval-text", "held-out"]) {
        "restore the text that the stage was begun with, whose paths are in its config.toml"
    } else if differ(&["tokenizer"]) {
        "restore the tokenizer.json that the stage was begun with"
    } else if differ(&["generated-documents"]) {
        "resume with the earlier version, which put a space before every piece of these documents"
    } else if differ(&["model", "original_context", "rotary_dim"]) {
        "restore the model that the stage was begun with"
    } else if differ(&["search.init"]) {
        "restore the factors that the stage was begun with"
    } else if differ(&["rope"]) {
        "restore the RoPE that the stage was begun with: `rope` in the recipe, or the factors that it names"
    } else {
        "restore the old values in the recipe"
    }
}
