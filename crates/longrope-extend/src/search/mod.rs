//! Searches for rescale factors on a model: samples, objective, and the files of a run.

mod adapt;
mod calibration;
mod closest;
mod events;
mod held_out;
mod inputs;
mod methods;
mod objective;
mod recover;
mod result;
mod run;
pub(crate) mod saved;
mod task;
mod verdict;

pub use adapt::AdaptConfig;
pub use calibration::sample::CalibrationSample;
pub use calibration::{Calibration, CalibrationOptions};
pub use closest::{
    ClosestInputs, ClosestRope, WindowComparison, choose_closest, compare_on_windows,
};
pub use events::{SearchEvent, Watch};
pub use held_out::split::HeldOutShare;
pub use inputs::SearchInputs;
pub use methods::loss::MethodLoss;
pub use methods::measured::{NamedSpec, measure};
pub use objective::choice::ObjectiveChoice;
pub use objective::kind::ObjectiveKind;
pub use objective::model::ModelObjective;
pub use recover::{Recovered, Recovery, RecoverySettings, RecoveryTask};
pub use result::{SearchOutcome, SearchResult};
pub(crate) use run::TIME_FILE;
pub use saved::search_input::SearchInput;
pub use task::SearchTask;
pub use verdict::Verdict;
pub use verdict::judged::HeldOutText;
