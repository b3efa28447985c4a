//! Searches for rescale factors on a model: samples, objective, and the files of a run.

mod adapt;
mod calibration;
mod calibration_sample;
mod closest;
mod compared;
mod events;
mod fresh_passkeys;
mod generation_line;
mod held_out;
mod inputs;
mod journal;
mod line_file;
mod measured;
mod method_loss;
mod objective;
mod objective_choice;
mod objective_kind;
mod recorded;
mod recover;
mod result;
mod run;
mod sample_shape;
pub(crate) mod search_input;
mod seen;
mod task;
mod unseen;
mod verdict;
mod verdict_words;

pub use adapt::AdaptConfig;
pub use calibration::{Calibration, CalibrationOptions};
pub use calibration_sample::CalibrationSample;
pub use closest::{
    ClosestInputs, ClosestRope, WindowComparison, choose_closest, compare_on_windows,
};
pub use events::{SearchEvent, Watch};
pub use held_out::HeldOutShare;
pub use inputs::SearchInputs;
pub use measured::{NamedSpec, measure};
pub use method_loss::MethodLoss;
pub use objective::ModelObjective;
pub use objective_choice::ObjectiveChoice;
pub use objective_kind::ObjectiveKind;
pub use recover::{Recovered, Recovery, RecoveryTask};
pub use result::{SearchOutcome, SearchResult};
pub(crate) use run::TIME_FILE;
pub use search_input::SearchInput;
pub use task::SearchTask;
pub use verdict::{HeldOutText, Verdict};
