#![doc = include_str!("../README.md")]
#![recursion_limit = "256"]
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test fails by panicking"))]

pub mod checkpoint;
mod error;
mod finite;
mod homes;
mod memory;
mod micro_batch;
mod optimizer;
pub mod run;
mod schedule;
mod session;
mod step_sums;
mod threads;
mod trainer;
mod whole;
mod workers;

pub use error::{Error, HookError, HookResult, Result};
pub use memory::peak_memory;
pub use micro_batch::MicroBatch;
pub use optimizer::{AdamW, OptimizerConfig};
pub use schedule::{Decay, Schedule};
pub use session::{Ending, EvalPoint, Hooks, Screen, Session, Terminals, TimedStep};
pub use threads::thread_shares;
pub use trainer::{StepReport, Trainer, TrainerConfig};
pub use workers::Worker;
