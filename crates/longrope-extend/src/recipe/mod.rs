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

pub(crate) mod error;
mod plan;
mod run;

pub use error::RecipeError;
pub use plan::{Place, Stage, Verb, plan};
pub use run::{DoneStage, PlannedStage, Turn, run};
