//! Measures a model at a context.
//!
//! A run is stepped by its caller: [`PerplexityRun::step`] scores the next windows and returns
//! what it found, so progress bars, interruption and per-token files belong to whoever calls.
//! Every result says how it was measured: context, stride, windows, scored tokens, treatment of
//! the beginning-of-text token.

mod error;
mod language_model;
mod perplexity;
mod report;

pub use error::{Error, Result};
pub use language_model::{LanguageModel, Scorer};
pub use perplexity::{Perplexity, PerplexityRun, ScoredWindow, WindowBatch};
pub use report::{EvalReport, PplResult};
