//! Searches for rescale factors on a model: what candidates are scored on, who scores them, and the files of a run.

mod calibration;
mod events;
mod measured;
mod objective;
mod objective_kind;
mod recover;
mod run;
mod task;

pub use calibration::{Calibration, CalibrationOptions, CalibrationSample};
pub use events::{SearchEvent, Watch};
pub use measured::{MethodLoss, NamedSpec, measure};
pub use objective::ModelObjective;
pub use objective_kind::ObjectiveKind;
pub use recover::{Recovered, Recovery, RecoveryTask};
pub use run::{SearchOutcome, SearchResult};
pub use task::SearchTask;
