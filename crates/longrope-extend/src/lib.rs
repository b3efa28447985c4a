#![doc = include_str!("../README.md")]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

mod copies;
mod error;
mod interrupt;
mod json_files;
mod lossy_text;
pub mod pool;
pub mod pretrain;
pub mod recipe;
mod run_folder;
mod scoring;
mod search;
mod stopwatch;

pub use error::{Error, Result, ScoringError};
pub use interrupt::{Interrupt, Interrupted};
pub use run_folder::{RunFolder, RunKind, RunMode, RunSettings};
pub use scoring::{
    AdaptJob, Adaptation, Adapted, HeldOut, Losses, Measure, Measurer, Models, PplCell, PplEvent,
    PplOptions, Replica, ScoreJob, Scoring, Workers, check_windows, perplexities,
};
pub use search::{
    AdaptConfig, Calibration, CalibrationOptions, CalibrationSample, ClosestInputs, ClosestRope,
    HeldOutShare, HeldOutText, MethodLoss, ModelObjective, NamedSpec, ObjectiveChoice,
    ObjectiveKind, Recovered, Recovery, RecoverySettings, RecoveryTask, SearchEvent, SearchInput,
    SearchInputs, SearchOutcome, SearchResult, SearchTask, Verdict, Watch, WindowComparison,
    choose_closest, compare_on_windows, measure,
};
