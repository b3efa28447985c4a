//! Fine-tuning a decoder under a rescaled RoPE.
//!
//! What is here so far is the part without tensors: the learning rate as a pure function of the
//! step.

mod error;
mod schedule;

pub use error::{Error, Result};
pub use schedule::{Decay, Schedule};
