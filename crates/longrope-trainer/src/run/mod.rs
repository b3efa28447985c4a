//! Whole training runs: data in, metrics, saved states and a trained checkpoint out.
//!
//! - [`train`] fine-tunes a checkpoint as a [`TrainPlan`] describes.
//! - [`Phase`] is the part below: one stretch of training in one folder, on data of any kind. Pretraining is a sequence
//!   of phases that share one file of metrics.
//! - [`Callbacks`] measure the model, receive the progress ([`TrainEvent`]) and interrupt the run.
//! - [`records`] reads the metrics.
//!
//! ```text
//! RUN/metrics.jsonl   a line per step and per measurement
//!     step-000200/    a saved state, see `checkpoint`
//!     model/          the trained checkpoint, with its history in `trainer_state.json`
//! ```
//!
//! A run that is resumed from a saved state takes the same steps as one that was never interrupted, bit for bit on
//! the same machine and device.

mod adapters;
mod as_before;
mod batches;
mod callbacks;
mod config;
mod data_config;
mod distill;
mod kept_files;
mod mixture;
mod phase;
mod plan;
mod positions;
pub mod records;
mod rotaries;
mod saved;
mod trained_model;
mod trained_weights;
mod trainer_state;

pub use adapters::{AdapterTraining, AdapterWindows, Adapters};
pub use as_before::AsBefore;
pub use callbacks::{Callbacks, Measure, Measurement, TrainEvent, Watch};
pub use config::TrainConfig;
pub use data_config::TrainDataConfig;
pub use distill::{DistillConfig, Distillation};
pub use kept_files::keep_files;
pub use phase::Phase;
pub use plan::{PreparedRun, TrainOutcome, TrainPlan, TrainResult, train};
pub use positions::{LongWindows, Positions, SkippedPositions};
pub use rotaries::{Rotaries, SkippingRun};
pub use trained_weights::{LoraSettings, TrainMode, WeightPrecision};
pub use trainer_state::{TRAINER_STATE, TrainerStateSettings, write_trainer_state};
