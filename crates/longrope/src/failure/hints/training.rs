//! Hints for errors of training and of the search algorithm.

use longrope_search::Error as S;
use longrope_trainer::Error as T;

use super::{data, hint_for, model, system::io_hint};

/// The hint for a folder in the place of a trained model.
pub(super) const MODEL_IN_PLACE: &str =
    "choose another --out, or move that folder away: it may be a model that you still need";

/// The hint for an error of `longrope-trainer`.
pub(super) fn hint(error: &T) -> Option<String> {
    Some(
        match error {
            // A phase of a pretraining has the hint for its settings.
            T::Setting { key, .. } if !key.starts_with("train.") => return None,
            T::Setting { .. } | T::Offload => "configs/README.md describes every key of [train]",
            // A run that is resumed keeps its settings and its data, and makes the same step again.
            T::NotFinite { .. } | T::WeightNotFinite { .. } => {
                "the states saved before are intact; train in another --out with a lower `learning-rate` or more \
                 `warmup-steps`"
            }
            T::NeverFinite { .. } => {
                "check the weights of the model, or train in another --out with a lower `learning-rate`"
            }
            T::NothingCounts { .. } => {
                "train in another --out with a longer --context or other text"
            }
            T::State { .. } | T::DataPosition { .. } => {
                "remove that folder; the run then resumes from the previous state"
            }
            T::NoWholeState { .. } => {
                "restore one of the folders step-* from a copy, or train again with another --out"
            }
            T::NothingToTrainOn => {
                "set at least one share of train.data above 0: text, short, passkey, recall or copying"
            }
            T::NoTokenizer => {
                "give text and a model folder with a tokenizer.json, or set the shares passkey, recall and copying to 0"
            }
            T::NothingFar => {
                "train with train.positions = \"all\" on windows of the length you need"
            }
            T::NestedModel { .. } => {
                "train a checkpoint of the language model alone, or only search factors for this one and export it"
            }
            T::ModelInPlace { .. } => MODEL_IN_PLACE,
            T::StatesGone { .. } => {
                "put the folders step-* back to resume; to train again from the first step, move metrics.jsonl and model \
                 out of the run folder before, or choose another --out"
            }
            T::OtherSettings { .. } => {
                "resume with the configuration in the run's config.toml, or start again with another --out"
            }
            T::Threads(_) => "give fewer --device, or raise the limit of threads (ulimit -u)",
            // The cause says more.
            T::Run { source, .. }
                if matches!(
                    **source,
                    T::Save { .. }
                        | T::DeviceFailed { .. }
                        | T::WeightNotFinite { .. }
                        | T::NotFinite { .. }
                        | T::NeverFinite { .. }
                        | T::NothingCounts { .. }
                        | T::Data(_)
                ) =>
            {
                return None;
            }
            T::DeviceFailed { .. } => {
                "the state before this step is saved; --resume continues with the devices that are given then"
            }
            T::Run { .. } => "continue from the last saved state with --resume",
            T::Metrics { .. } => "resume with the version of longrope that wrote the file",
            T::Save { .. } => {
                "free some space, or raise the limit of file sizes (`ulimit -f`), then continue with --resume"
            }
            T::Io(error) => return Some(io_hint(error)),
            T::Model(error) => return model::hint(error),
            T::Data(error) => return data::hint(error),
            T::Hook(error) => return hint_for(error.as_ref()),
            // The cause has the hint: T::Windows, T::Resume. Faults of the program: T::Panicked, T::CutOff.
            // Not an error of the input: T::Killed.
            _ => return None,
        }
        .to_owned(),
    )
}

/// The hint for an error of `longrope-search`.
pub(super) fn search_hint(error: &S) -> Option<String> {
    Some(
        match error {
            S::InvalidProblem {
                field: "target_context",
                ..
            } => "choose a target above the original context, which longrope inspect shows",
            S::InvalidProblem { .. } => {
                "use the config.json that was published with the weights, or correct it"
            }
            S::InvalidConfig { .. } => "configs/README.md describes every key of [search]",
            S::FactorCount { .. } => "the factors of --init are for a model with another head size",
            S::FactorValue { .. } => "correct the file of --init: a factor is a number above 0",
            S::InitOutsideSpace { key, .. } => init_hint(*key),
            // The error around them knows the folder: S::StateJson, S::StateFormat, S::StateVersion, S::StateCorrupt.
            _ => return None,
        }
        .to_owned(),
    )
}

/// The hint for a start outside of the search, by the key that excludes it.
fn init_hint(key: Option<&str>) -> &'static str {
    match key {
        Some("max-factor-ratio") => {
            "raise `search.max-factor-ratio`, or start from other factors with --init"
        }
        Some("start-tokens") => {
            "add its start tokens to `search.start-tokens`, or start from other factors with --init"
        }
        Some("attention") => {
            "let `search.attention` try its policy, or start from other factors with --init"
        }
        Some("operators") => {
            "choose other `search.operators`, or start from other factors with --init"
        }
        _ => "start from other factors with --init",
    }
}
