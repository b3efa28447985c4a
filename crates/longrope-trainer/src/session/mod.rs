//! A training run under Burn's training loop: dashboard, metrics, interruption.
//!
//! Burn counts epochs; a session counts optimizer steps, so an "epoch" is the stretch between two measurements. The
//! [`Trainer`](crate::Trainer) keeps the weights itself: Burn's own step would hold the old and the new ones at once.

mod dashboard;
mod metrics;
mod parts;
mod run;
mod screen;
mod strategy;
mod terminals;

pub use parts::{Ending, EvalPoint, Hooks, Screen, Session, TimedStep};
pub use terminals::Terminals;
