#![doc = include_str!("../README.md")]
//!
//! # Types
//!
//! - [`TargetRope`] is the RoPE to find. It gives the [`SearchProblem`] and turns candidates into RoPEs.
//! - [`SearchConfig`] sets the size of the search and its operators.
//! - [`Space`] is the set of allowed [`Candidate`]s. With the default settings: factors from 1 to 1.25·s on a grid of
//!   0.01 that never decrease from one pair to the next, start tokens from a list, and an attention-scale policy.
//! - [`Objective`] measures candidates. It is the only part that knows a model.
//! - [`Search`] is stepped by its caller, one [`Generation`] at a time. Its [`SearchState`] is JSON; a search resumed
//!   from it continues bit for bit.
//!
//! Terms such as `rescale factor`, `scale` and `start_tokens` are defined in `longrope-rope`. Scores are mean losses in
//! nats per token: lower is better, and infinity means that the candidate could not be measured.
//!
//! Results depend on the arguments only: there are no global random numbers.

#![allow(
    clippy::doc_markdown,
    reason = "RoPE, YaRN and LongRoPE are names, not code"
)]

mod bend;
mod block_losses;
mod candidate;
pub mod closest;
mod config;
mod counts;
mod critical;
mod error;
mod factor_curve;
mod factor_sets;
mod field_names;
mod generation;
mod known;
mod loss_json;
mod memo;
mod objective;
pub mod official;
mod operators;
mod problem;
mod propose;
mod proposer;
mod racing;
mod round;
mod scored;
mod search;
mod seed;
mod space;
mod starts;
mod state;
mod surrogate;
mod target_rope;

pub use bend::{bend, difference};
pub use block_losses::{BlockLoss, BlockLosses};
pub use candidate::{Candidate, Grid, Shape};
pub use config::unread::UnreadKey;
pub use config::{AttentionSearch, Operators, SearchConfig, Sizes};
pub use error::{Error, Result, StepError};
pub use factor_curve::{FactorCurve, factor_curves};
pub use field_names::field_names;
pub use generation::{Failure, Generation};
pub use objective::{FnObjective, Job, Objective, Outcome};
pub use operators::{crossover, mutate};
pub use problem::SearchProblem;
pub use scored::{SampleFailure, Scored};
pub use search::{Progress, Search};
pub use seed::Seed;
pub use space::{CriticalParts, Space, SpaceParts};
pub use starts::SeedScore;
pub use state::SearchState;
pub use target_rope::TargetRope;
