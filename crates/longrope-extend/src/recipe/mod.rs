//! Recipes: stages that run in order, each in a folder of its own, and are skipped once they are done.
//!
//! A stage may train the model (`finetune`), make factors (`search`, `recover`), measure (`ppl`, `passkey`, `needle`,
//! `ruler`, `bench`, `compare`), continue prompts (`generate`), write a checkpoint (`export`) or a page (`report`). Later stages take the model and the factors from earlier ones:
//!
//! | stage | takes | makes |
//! |---|---|---|
//! | search | model; factors only if `rope_from` names a stage | `rope.json` |
//! | recover | model, factors | `rope.json` |
//! | finetune | model, factors | `model/` |
//! | ppl, passkey, needle, ruler, bench, compare, generate, export | model, factors | results |
//! | report | all stages before it | a page |
//!
//! [`plan`] determines the inputs of every stage before any stage runs. [`run`] runs the stages that are
//! not done: for each of them it calls a function of the caller, which starts a [`SearchTask`](crate::SearchTask), a
//! [`RecoveryTask`](crate::RecoveryTask), a training run or an evaluation with the inputs of the plan.
//!
//! A stage that is done knows its verb, its settings, and the fingerprints of what it took from other stages, of the model
//! and of other files. [`check`] and [`run`] refuse a folder in which these are not those of the recipe any more: no result is
//! of another model, or of factors that have been made again since. Only a page is simply written again. Other settings or
//! other text alone are no error: a warning names the stage. A stage that got another number is refused, too: its folder has
//! to be renamed.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use longrope_extend::recipe::{self, PlannedStage, Source, Stage, Verb};
//!
//! # fn search(model: &Path, stage: &PlannedStage<recipe::Place>) -> Result<(), longrope_extend::Error> { Ok(()) }
//! # fn train(model: &Path, stage: &PlannedStage<recipe::Place>) -> Result<(), longrope_extend::Error> { Ok(()) }
//! # fn main() -> Result<(), longrope_extend::Error> {
//! let stage = |name: &str, verb| Stage {
//!     name: name.to_owned(),
//!     verb,
//!     model_from: Source::Last,
//!     rope_from: Source::Last,
//!     settings: "target = 16384".to_owned(),
//! };
//! let stages = [stage("find", Verb::Search), stage("train", Verb::Finetune)];
//! let places = recipe::plan(&stages, Path::new("runs/extension"))?;
//! let planned: Vec<_> = stages
//!     .into_iter()
//!     .zip(places)
//!     .map(|(stage, place)| PlannedStage {
//!         name: stage.name,
//!         verb: stage.verb,
//!         folder: place.folder.clone(),
//!         settings: stage.settings,
//!         locate: |model| Some(model.into()),
//!         work: place,
//!     })
//!     .collect();
//! recipe::run(&planned, |stage, _turn| {
//!     let model = stage.work.model.as_deref().unwrap_or(Path::new("models/base"));
//!     match stage.verb {
//!         Verb::Search => search(model, stage),  // fills in a SearchTask and calls `run`
//!         Verb::Finetune => train(model, stage), // fills in a TrainPlan and calls `train`
//!         _ => Ok(()),
//!     }
//! })?;
//! # Ok(())
//! # }
//! ```

mod changed;
pub(crate) mod error;
mod fingerprints;
mod inside;
mod moved;
mod plan;
mod run;
mod settings;
mod stage;

pub use error::RecipeError;
pub use inside::is_inside;
pub use plan::{Place, Source, Stage, Verb, folder_name, plan};
pub use run::{Turn, check, run};
pub use stage::{DoneStage, Locate, PlannedStage};
