//! Recipes: stages that run in order, each in a folder of its own, and are skipped when they are done.
//!
//! A stage may train the model (`finetune`), make factors (`search`, `recover`), measure (`ppl`, `passkey`, `compare`) or
//! write a checkpoint (`export`). Later stages take the model and the factors from earlier ones:
//!
//! | stage | takes | makes |
//! |---|---|---|
//! | search | model; factors only if `rope_from` names a stage | `rope.json` |
//! | recover | model, factors | `rope.json` |
//! | finetune | model, factors | `model/` |
//! | ppl, passkey, compare, export | model, factors | results |
//!
//! [`plan`] finds out where every stage takes its inputs from, before anything runs. [`run`] runs the stages that are
//! not done: for each it calls a function of the caller's, which starts a [`SearchTask`](crate::SearchTask), a
//! [`RecoveryTask`](crate::RecoveryTask), a training run or an evaluation with the inputs of the plan.

use std::path::{Path, PathBuf};
use std::time::Instant;

use longrope_data::write_atomically;
use serde::{Deserialize, Serialize};

use crate::run_dir::read_json;

/// Written into the folder of a stage when it is done.
const DONE_FILE: &str = "done.json";
/// The settings of a stage.
const SETTINGS_FILE: &str = "stage.toml";

/// One stage of a recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage<S> {
    /// Its name, unique in the recipe and part of its folder's name.
    pub name: String,
    /// What it does.
    pub verb: Verb,
    /// The stage whose model it takes. `None` for the last one that trains, `base` for the recipe's own model.
    pub model_from: Option<String>,
    /// The stage whose factors it takes. `None` for the last one that makes some, `base` for none.
    pub rope_from: Option<String>,
    /// What else it needs to know.
    pub settings: S,
}

/// What a stage does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Verb {
    /// Searches rescale factors.
    Search,
    /// Searches factors for short contexts.
    Recover,
    /// Trains the model.
    Finetune,
    /// Measures perplexity.
    Ppl,
    /// Measures passkey retrieval.
    Passkey,
    /// Compares methods.
    Compare,
    /// Writes a checkpoint.
    Export,
}

impl Verb {
    /// All verbs.
    pub const ALL: [Self; 7] = [
        Self::Search,
        Self::Recover,
        Self::Finetune,
        Self::Ppl,
        Self::Passkey,
        Self::Compare,
        Self::Export,
    ];

    /// Its name in recipes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Search => "search",
            Self::Recover => "recover",
            Self::Finetune => "finetune",
            Self::Ppl => "ppl",
            Self::Passkey => "passkey",
            Self::Compare => "compare",
            Self::Export => "export",
        }
    }

    fn makes_factors(self) -> bool {
        matches!(self, Self::Search | Self::Recover)
    }

    fn makes_model(self) -> bool {
        self == Self::Finetune
    }
}

/// Where a stage takes its inputs from, and where it puts its results.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder of the stage.
    pub folder: PathBuf,
    /// Checkpoint folder of the trained model it takes; `None` for the recipe's own model.
    pub model: Option<PathBuf>,
    /// The `rope.json` it takes; `None` if it takes none.
    pub rope: Option<PathBuf>,
    /// Index of the stage that makes those factors.
    pub rope_stage: Option<usize>,
}

/// A recipe that cannot be run as it is written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipeError {
    /// Two stages would share a folder.
    #[error("two stages have the name `{name}`")]
    SameName {
        /// The name.
        name: String,
    },
    /// A stage names one that does not make what it takes.
    #[error("stage `{stage}`: `{from}` is not an earlier stage that makes {what}")]
    NoSource {
        /// The stage.
        stage: String,
        /// The stage it names.
        from: String,
        /// What it takes from there.
        what: &'static str,
    },
}

/// Gives every stage its folder in `out`, and finds out where it takes its model and its factors from.
///
/// # Errors
/// If two stages have one name, or a stage names one that does not make what it takes.
pub fn plan<S>(stages: &[Stage<S>], out: &Path) -> Result<Vec<Place>, RecipeError> {
    let folder = |index: usize| out.join(format!("{:02}-{}", index + 1, stages[index].name));
    let mut places = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        let earlier = &stages[..index];
        if earlier.iter().any(|other| other.name == stage.name) {
            return Err(RecipeError::SameName {
                name: stage.name.clone(),
            });
        }
        let source = |from: Option<&str>, makes: fn(Verb) -> bool, what: &'static str| match from {
            Some("base") => Ok(None),
            None => Ok(earlier.iter().rposition(|other| makes(other.verb))),
            Some(name) => earlier
                .iter()
                .position(|other| other.name == name && makes(other.verb))
                .map(Some)
                .ok_or_else(|| RecipeError::NoSource {
                    stage: stage.name.clone(),
                    from: name.to_owned(),
                    what,
                }),
        };
        let model = source(stage.model_from.as_deref(), Verb::makes_model, "a model")?;
        let factors = source(stage.rope_from.as_deref(), Verb::makes_factors, "factors")?;
        // A search starts from factors only where the recipe says so.
        let takes_factors = stage.verb != Verb::Search || stage.rope_from.is_some();
        let rope_stage = factors.filter(|_| takes_factors);
        places.push(Place {
            folder: folder(index),
            model: model.map(|stage| folder(stage).join("model")),
            rope: rope_stage.map(|stage| folder(stage).join("rope.json")),
            rope_stage,
        });
    }
    Ok(places)
}

/// A stage with everything it is run with.
#[derive(Clone, Debug)]
pub struct PlannedStage<W> {
    /// Name of the stage.
    pub name: String,
    /// What it does.
    pub verb: Verb,
    /// Its folder.
    pub folder: PathBuf,
    /// Its settings as text. They are kept in its folder as `stage.toml`.
    pub settings: String,
    /// What the caller's function needs to run it.
    pub work: W,
}

/// A stage that is done: `done.json` in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneStage {
    format: String,
    version: u32,
    /// Name of the stage.
    pub stage: String,
    /// What it did.
    pub verb: Verb,
    /// Time it took, seconds.
    pub elapsed_secs: f64,
}

/// The stage that is about to run.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Its number, from 1.
    pub number: usize,
    /// Number of stages.
    pub of: usize,
    /// Whether it has run before and was interrupted.
    pub has_begun: bool,
}

/// Runs the stages that are not done, in order. Returns all of them as done.
///
/// `run` is called for each with the work of the plan; when it returns, the stage is done. A stage that is done with
/// other settings than it now has is kept, with a warning in the log.
///
/// # Errors
/// The error of `run`, or of a file that cannot be read or written. Stages before it stay done.
pub fn run<W, E: From<crate::Error>>(
    stages: &[PlannedStage<W>],
    mut run: impl FnMut(&PlannedStage<W>, Turn) -> Result<(), E>,
) -> Result<Vec<DoneStage>, E> {
    let mut done = Vec::with_capacity(stages.len());
    for (index, stage) in stages.iter().enumerate() {
        if let Some(earlier) = read_done(stage)? {
            done.push(earlier);
            continue;
        }
        let turn = Turn {
            number: index + 1,
            of: stages.len(),
            has_begun: stage.folder.is_dir(),
        };
        write(&stage.folder.join(SETTINGS_FILE), &stage.settings)?;
        let started = Instant::now();
        run(stage, turn)?;
        let finished = DoneStage {
            format: "longrope-stage".to_owned(),
            version: 1,
            stage: stage.name.clone(),
            verb: stage.verb,
            elapsed_secs: started.elapsed().as_secs_f64(),
        };
        let json = serde_json::to_string_pretty(&finished).map_err(crate::Error::from)?;
        write(&stage.folder.join(DONE_FILE), &(json + "\n"))?;
        done.push(finished);
    }
    Ok(done)
}

fn read_done<W>(stage: &PlannedStage<W>) -> crate::Result<Option<DoneStage>> {
    let path = stage.folder.join(DONE_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let done = read_json(&path)?;
    let saved = fs_err::read_to_string(stage.folder.join(SETTINGS_FILE)).unwrap_or_default();
    if saved != stage.settings {
        tracing::warn!(
            "stage `{}` was done with other settings than the recipe now has, and is kept; to run it again, remove `{}`",
            stage.name,
            stage.folder.display()
        );
    }
    Ok(Some(done))
}

fn write(path: &Path, text: &str) -> crate::Result<()> {
    Ok(write_atomically(path, text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(name: &str, verb: Verb) -> Stage<()> {
        Stage {
            name: name.to_owned(),
            verb,
            model_from: None,
            rope_from: None,
            settings: (),
        }
    }

    #[test]
    fn inputs_come_from_the_last_stage_that_makes_them() {
        let mut stages = vec![
            stage("find", Verb::Search),
            stage("train", Verb::Finetune),
            stage("further", Verb::Search),
            stage("again", Verb::Search),
            stage("measure", Verb::Ppl),
        ];
        stages[3].rope_from = Some("find".to_owned());
        stages[3].model_from = Some("base".to_owned());
        let places = plan(&stages, Path::new("run")).unwrap();
        let path = |text: &str| Some(PathBuf::from(text));
        let models: Vec<_> = places.iter().map(|place| place.model.clone()).collect();
        let trained = path("run/02-train/model");
        assert_eq!(models, [None, None, trained.clone(), None, trained]);
        let ropes: Vec<_> = places.iter().map(|place| place.rope.clone()).collect();
        let found = path("run/01-find/rope.json");
        let last = path("run/04-again/rope.json");
        assert_eq!(ropes, [None, found.clone(), None, found, last]);
        assert_eq!(places[3].rope_stage, Some(0));
    }

    #[test]
    fn recipes_that_contradict_themselves_are_refused() {
        let twice = [stage("a", Verb::Search), stage("a", Verb::Ppl)];
        assert!(matches!(
            plan(&twice, Path::new("run")),
            Err(RecipeError::SameName { .. })
        ));
        // A measurement makes no factors, and neither does a later stage.
        for from in ["measure", "later"] {
            let mut stages = [
                stage("measure", Verb::Ppl),
                stage("train", Verb::Finetune),
                stage("later", Verb::Search),
            ];
            stages[1].rope_from = Some(from.to_owned());
            let error = plan(&stages, Path::new("run")).unwrap_err();
            assert!(error.to_string().contains(from), "{error}");
        }
    }

    #[test]
    fn stages_run_once_and_a_failed_one_runs_again() {
        let here = tempfile::tempdir().unwrap();
        let planned: Vec<PlannedStage<usize>> = (0..3)
            .map(|work| PlannedStage {
                name: format!("s{work}"),
                verb: Verb::Ppl,
                folder: here.path().join(format!("s{work}")),
                settings: format!("work = {work}\n"),
                work,
            })
            .collect();
        let mut ran = Vec::new();
        let first = run(&planned, |stage, turn| {
            ran.push((stage.work, turn.has_begun));
            let failed = std::io::Error::other("no power");
            if stage.work == 1 { Err(crate::Error::from(failed)) } else { Ok(()) }
        });
        assert!(first.is_err());
        let done = run::<_, crate::Error>(&planned, |stage, turn| {
            ran.push((stage.work, turn.has_begun));
            Ok(())
        });
        assert_eq!(done.unwrap().len(), 3);
        assert_eq!(ran, [(0, false), (1, false), (1, true), (2, false)]);
    }
}
