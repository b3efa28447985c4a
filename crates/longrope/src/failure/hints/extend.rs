//! Hints for errors of searches, recoveries, recipes and pretraining, and of figures.

use std::path::{Path, PathBuf};

use longrope_extend::Error as E;
use longrope_extend::pretrain::PretrainError as P;
use longrope_extend::recipe::RecipeError as R;
use longrope_extend::{RunKind, SearchInput};
use longrope_figures::Error as F;

use super::context_folder::context_of;
use super::other_settings::{self, in_a_sentence};
use super::training::{self, MODEL_IN_PLACE};
use super::{data, eval, model, rope, system::io_hint};

/// The hint for an error of `longrope-extend`.
pub(super) fn hint(error: &E) -> Option<String> {
    Some(match error {
        E::NoDeviceLeft { .. } => {
            "check the device's memory, driver and connection, or choose another --device"
                .into()
        }
        E::Thread { .. } => "name the device once: every --device starts a thread".into(),
        E::NoModel => "--device flex works on every machine".into(),
        E::NothingToScore => "set `search-needle.samples` to 1 or more".into(),
        E::NeedlesNeedTokenizer => {
            "give text with --text, and a model folder with a tokenizer.json".into()
        }
        E::NeedleWeight { .. } => "0 counts text only, 1 counts needles only".into(),
        E::SampleContext { .. } => {
            "up to the original context, rescaling can only do harm; without this key, samples are as long as the target"
                .into()
        }
        E::RecoverySamples { .. } => {
            "remove the key, or in a recipe set it in the stage of the search".into()
        }
        E::AdaptKey { key: "search.sample-context", .. } => {
            "remove one of the two: search.adapt.window says how long samples are".into()
        }
        E::AdaptKey { .. } => "configs/README.md describes the keys of search.adapt".into(),
        E::AdaptStreamed => {
            "use the default, weights = \"resident\", or score candidates as they are with search.adapt.steps=0".into()
        }
        E::AdaptGrouped => {
            "selfextend is for measuring only; search from another --init, or with search.adapt.steps=0".into()
        }
        E::AdaptNothingFar => "search with search.adapt.steps=0".into(),
        E::RunExists { kind: RunKind::Demo, .. } => "choose another --out".into(),
        E::RunExists { .. } => "continue with --resume, or choose another --out".into(),
        E::NoRun { .. } => "check --out, or start a new run without --resume".into(),
        E::OtherKind { found, .. } => format!(
            "a folder holds one kind of run: choose another --out, or use `longrope {}` for this one",
            found.verb()
        ),
        E::NoFolder => "give the path of a folder as `out`, or leave it out to keep no results".into(),
        E::ForeignFolder { .. } => {
            "choose another --out: a folder that is new or empty, or for evaluations that of a run".into()
        }
        E::FolderInUse { .. } => {
            "wait until the other process ends, or choose another --out".into()
        }
        E::RunVersion { .. } => "resume with the version of longrope that began the run".into(),
        E::OtherSettings { path, changes } => other_settings::of_run(path, changes),
        E::SearchStateGone { path, .. }
        | E::InputsMissing { path }
        | E::ReadJson { path, .. }
        | E::ReadState { path, .. } => return Some(file_hint(error, path)),
        E::OtherInputs { what } => format!(
            "resume with the original {}, which config.toml has, or start again with another --out{}",
            search_inputs(what),
            other_tokens(what)
        ),
        E::AllFailed { .. } => model::NOT_FINITE.into(),
        E::NoCandidate => "give other text, or a larger `search.population`".into(),
        E::NoFactorSets => "give the rope.json of a search with --rope".into(),
        E::BeyondFactors { .. } => "to extend the RoPE, use `longrope search --stage ratios`".into(),
        E::Recipe(error) => return recipe_hint(error),
        E::Pretrain(error) => return pretrain_hint(error),
        // These are transparent: only their sources are in the chain.
        E::Data(error) => return data::hint(error),
        E::Eval(error) => return eval::hint(error),
        E::Model(error) => return model::hint(error),
        E::Rope(error) => return rope::hint(error),
        E::Search(error) => return training::search_hint(error),
        E::Trainer(error) => return training::hint(error),
        E::Io(error) => io_hint(error),
        E::Json(_) => "a result is not finite; give other text or another model".into(),
        // The cause has the hint: E::Samples, E::Needles, E::Recovering, E::Windows, E::Step.
        // Not an error of the input: E::Interrupted.
        _ => return None,
    })
}

/// Inputs of a search and what they depend on, in a sentence.
pub(super) fn search_inputs(what: &[SearchInput]) -> String {
    let names = what.iter().flat_map(|input| match input {
        SearchInput::Text => ["text", "`search.samples`", "`search-needle`"]
            .map(str::to_owned)
            .to_vec(),
        other => vec![other.to_string()],
    });
    in_a_sentence(&names.collect::<Vec<_>>())
}

/// Why the text of a search may be another one although nothing was changed, to be added to a hint; empty if the text
/// is the same.
pub(super) fn other_tokens(what: &[SearchInput]) -> &'static str {
    if what.contains(&SearchInput::Text) {
        "; if the tokenizer puts a space before every text, as that of LLaMA 2, needles and generated documents of earlier \
         versions have other tokens: resume with that version"
    } else {
        ""
    }
}

/// The hint for a file of a run that is missing or damaged.
fn file_hint(error: &E, file: &Path) -> String {
    if let Some(folder) = context_of(file) {
        return format!(
            "restore the file from a copy, or remove `{}` and resume, to have this context done again",
            folder.display()
        );
    }
    match error {
        E::SearchStateGone { .. } => {
            "put search/state.json back to resume; to search again from the start, move metrics.jsonl, rope.json and \
             search/result.json out of the run folder before, or choose another --out"
        }
        E::InputsMissing { .. } => {
            "only this file says what the search was begun with: restore it from a copy, or start again with another --out"
        }
        E::ReadState { .. } => "start again without --resume in another folder",
        _ if file.ends_with("search/inputs.json") => {
            "the file is damaged, and only it says what the search was begun with: restore it from a copy, or start again \
             with another --out"
        }
        _ => "the file is damaged: restore it from a copy, or remove it to have its part done again",
    }
    .to_owned()
}

/// The hint for a recipe that contradicts itself, or what its folder holds.
pub(super) fn recipe_hint(error: &R) -> Option<String> {
    Some(match error {
        R::BadName { .. } => "for example name = \"train-8x\"".to_owned(),
        R::SameName { .. } => "rename one of the stages".to_owned(),
        R::NamedBase { .. } => "rename the stage, for example to `before`".to_owned(),
        R::NoSource { .. } => {
            "only finetune makes a model, and only search and recover make factors".to_owned()
        }
        R::OtherVerb { folder, .. } => format!(
            "to run the stage, remove `{}`; to keep what is there, restore the verb or rename the stage",
            folder.display()
        ),
        R::OtherPlace { moves } => format!(
            "to keep what is there, rename {}; to run a stage again, remove its folder",
            renamed(moves)
        ),
        R::OtherModel { folders, .. } => format!(
            "restore the model, or remove {}, and --resume runs these stages again",
            listed(folders)
        ),
        R::OtherInput { folders, .. } => format!(
            "remove {}, and --resume runs these stages again",
            listed(folders)
        ),
        _ => return None,
    })
}

/// Paths as a list in a sentence.
fn listed(paths: &[PathBuf]) -> String {
    let names = paths.iter().map(|path| format!("`{}`", path.display()));
    in_a_sentence(&names.collect::<Vec<_>>())
}

/// Folders and their new names as a list in a sentence.
fn renamed(moves: &[(PathBuf, PathBuf)]) -> String {
    let names = moves
        .iter()
        .map(|(from, to)| format!("`{}` to `{}`", from.display(), to.display()));
    in_a_sentence(&names.collect::<Vec<_>>())
}

fn pretrain_hint(error: &P) -> Option<String> {
    Some(
        match error {
            P::ModelInPlace { .. } => MODEL_IN_PLACE,
            P::StartChanged { .. } => {
                "remove the folder `start` and resume: the same text and seed give the same tokenizer and weights"
            }
            P::NoPhases => "start from configs/pretrain-tiny.toml with --config",
            P::PhaseName { .. } => "the name becomes a part of a folder's name",
            P::SamePhaseName { .. } => "rename one of the phases",
            P::PhaseSetting { .. } => "configs/README.md describes the keys of a phase, at pretrain.phases",
            P::ZeroCount { .. } => "give 1 or more; to skip the phase, remove it",
            P::HeldOutTooShort { .. } => {
                "give longer documents with `pretrain.held-out`, or shorter windows, in another --out"
            }
            P::PhaseWindow { .. } => "raise `pretrain.model.window`, or shorten the phase's window",
            P::NoText => {
                "`pretrain.source-crates` names crates of Cargo.lock; or give files with --text"
            }
            P::NoSpecialToken { .. } | P::NoState { .. } => {
                "the run folder was changed; start again with another --out"
            }
            // The cause has the hint: P::Load, P::Documents, P::Shares.
            _ => return None,
        }
        .to_owned(),
    )
}

/// The hint for an error of `longrope-figures`.
pub(super) fn figure_hint(error: &F) -> Option<String> {
    Some(
        match error {
            F::TooLarge { .. } => "give fewer --contexts or --depths",
            F::Drawing(_) => "the results are written; only the figure is missing",
            _ => return None,
        }
        .to_owned(),
    )
}
