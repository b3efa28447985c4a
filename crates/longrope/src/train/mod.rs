//! Training runs: what `finetune`, `pretrain` and `extend` share.

pub(crate) mod config;
mod data;
mod records;
mod run;
pub(crate) mod saved;

pub(crate) use records::Record;
pub(crate) use run::{TrainPlan, TrainResult, train};
