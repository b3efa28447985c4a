#![doc = include_str!("../README.md")]

mod association;
mod association_pairs;
pub mod bench;
mod candidates;
mod choice;
mod effective;
mod effective_length;
mod error;
mod fit;
mod gain;
mod haystack;
mod language_model;
mod metric;
mod needle;
mod needle_positions;
mod needle_text;
mod ordinal;
mod paired;
mod passkey;
mod perplexity;
mod prefix;
mod protocol;
mod question;
mod report;
mod ruler;
mod saved;
mod settings;
mod stats;
mod task;

pub use association::Association;
pub use effective::effective_lengths;
pub use effective_length::{EffectiveLength, EffectiveRule, KEPT_SHARE};
pub use error::{Error, Result};
pub use gain::{FarText, Gain, GainBaseline, GainConfig, add_gain_intervals, is_in_nats};
pub use haystack::Haystack;
pub use language_model::{LanguageModel, Scorer};
pub use metric::Metric;
pub use needle::{Needle, NeedleConfig, NeedleKind};
pub use needle_text::{Filler, NeedleStyle, NeedleText, NeedleTextConfig, needle_texts};
pub use ordinal::Ordinal;
pub use paired::{
    Difference, PairedMethod, Unpaired, add_task_differences, add_window_differences,
    paired_scores, t_95, task_difference, window_difference,
};
pub use passkey::{Passkey, PasskeyConfig};
pub use perplexity::{Perplexity, PerplexityRun, ScoredWindow, WindowBatch, perplexity, ppl_of};
pub use protocol::{PplProtocol, UnknownProtocol, WindowPlan, WindowSettings};
pub use question::Protocol;
pub use report::{EvalReport, EvalResult, MetricValue, PplResult, TaskResult, Trial, WindowLosses};
pub use ruler::{
    Essay, QaSet, Ruler, RulerAverages, RulerData, RulerTask, string_match_all, string_match_part,
};
pub use saved::{EvalState, SavedJob};
pub use stats::{mean, mean_stderr, spearman, wilson_interval};
pub use task::{Task, TaskInfo, TaskRun};
