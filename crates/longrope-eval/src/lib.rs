//! Measures a model at a context.
//!
//! A run is stepped by its caller: [`PerplexityRun::step`] scores the next windows and returns
//! what it found, so progress bars, interruption and per-token files belong to whoever calls.
//! Every result says how it was measured: context, stride, windows, scored tokens, treatment of
//! the beginning-of-text token.

pub mod bench;
mod error;
mod language_model;
mod perplexity;
mod protocol;
mod report;
mod stats;
mod task;

pub use error::{Error, Result};
pub use language_model::{LanguageModel, Scorer};
pub use perplexity::{Perplexity, PerplexityRun, ScoredWindow};
pub use protocol::{Protocol, UnknownProtocol, WindowPlan};
pub use report::{EvalReport, EvalResult, MetricValue, PplResult, TaskResult, Trial};
pub use stats::{mean, mean_stderr, wilson_interval};
pub use task::{Metric, Task, TaskInfo, TaskRun};
