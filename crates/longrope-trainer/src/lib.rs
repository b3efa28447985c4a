//! Fine-tuning a decoder under a rescaled RoPE.
//!
//! - [`Trainer`] is the engine: gradients layer by layer, [`AdamW`], a learning rate that is a pure
//!   function of the step ([`Schedule`]). It is stepped by its caller.
//! - [`checkpoint`] saves and restores everything a run needs to go on as if it had never stopped.
//! - [`Session`] runs a trainer under Burn's training loop: its dashboard, metrics and interruption.
//!
//! Which RoPE a batch has is part of the batch; the trainer never changes it.
#![recursion_limit = "256"]

pub mod checkpoint;
mod error;
mod memory;
mod optimizer;
mod schedule;
mod session;
mod trainer;

pub use error::{Error, Result};
pub use memory::peak_memory;
pub use optimizer::{AdamW, OptimizerConfig};
pub use schedule::{Decay, Schedule};
pub use session::{Ending, EvalPoint, HookError, HookResult, Hooks, Screen, Session, TimedStep};
pub use trainer::{MicroBatch, StepReport, Trainer, TrainerConfig};
