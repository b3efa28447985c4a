//! Evolutionary search for the rescale factors of LongRoPE, against any objective.
//!
//! A model with a window of L tokens is to read s·L. Which factor rescales each rotary pair, and how many leading
//! positions are left alone, decides how much quality that costs; the closed forms (position interpolation, NTK,
//! YaRN) are starting points, and evolution finds better ones for the model at hand.
//!
//! - [`SearchProblem`] says which RoPE, and which window it shall get; [`SearchConfig`] how hard to look.
//! - [`Space`] is the set of allowed [`Candidate`]s: factors from 1 to 1.25·s that never fall from one pair to the
//!   next, on a grid of 0.01; start tokens from a list; an attention-scale policy.
//! - [`Objective`] measures candidates. It is the only thing here that may know a model.
//! - [`Search`] is stepped by its caller, one [`Generation`] at a time. Its [`SearchState`] is JSON and resumes bit for
//!   bit.
//!
//! Words (`rescale factor`, `scale`, `start_tokens`) are those of `longrope-rope`. Scores are mean losses in nats per
//! token: lower is better, infinite means it could not be measured.
//!
//! Absent on purpose: tensors, files, clocks, threads and global random numbers. Everything depends on the arguments
//! only.
//!
//! ```
//! use longrope_search::{Candidate, FnObjective, Outcome, Search, SearchConfig, SearchProblem};
//!
//! let problem = SearchProblem { rotary_dim: 16, theta: 1e4, original_context: 256, target_context: 1024 };
//! let config = SearchConfig { generations: 5, ..SearchConfig::default() };
//! let mut search = Search::new(problem, config, 0)?;
//!
//! // Stands in for a model that wants every factor to be 2.
//! let loss = |candidate: &Candidate, _sample| {
//!     Outcome::Loss(candidate.factors().iter().map(|factor| (factor - 2.0).powi(2)).sum())
//! };
//! let mut objective = FnObjective::new(1, loss);
//! while !search.is_done() {
//!     let generation = search.step(&mut objective)?;
//!     assert!(generation.best.score.is_finite());
//! }
//! let best = search.best().expect("a step was made");
//! assert!(search.seeds().iter().all(|seed| best.score <= seed.score));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![allow(
    clippy::doc_markdown,
    reason = "RoPE, YaRN and LongRoPE are names, not code"
)]

mod bend;
mod block_losses;
mod candidate;
mod config;
mod critical;
mod error;
mod factor_curve;
mod field_names;
mod generation;
mod loss_json;
mod memo;
mod objective;
pub mod official;
mod operators;
mod problem;
mod propose;
mod proposer;
mod racing;
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
pub use config::{AttentionSearch, Operators, SearchConfig, Sizes};
pub use error::{Error, Result, StepError};
pub use factor_curve::{FactorCurve, factor_curves};
pub use field_names::field_names;
pub use generation::{Failure, Generation};
pub use memo::{SampleFailure, Scored};
pub use objective::{FnObjective, Job, Objective, Outcome};
pub use operators::{crossover, mutate};
pub use problem::SearchProblem;
pub use search::{Progress, Search};
pub use seed::Seed;
pub use space::{CriticalParts, Space, SpaceParts};
pub use starts::SeedScore;
pub use state::SearchState;
pub use target_rope::TargetRope;
