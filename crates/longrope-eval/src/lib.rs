#![doc = include_str!("../README.md")]

pub mod bench;
mod changed_setting;
mod changes;
mod choice;
mod effective;
mod error;
mod fit;
#[cfg(test)]
mod fixtures;
mod gain;
mod key_changes;
mod language_model;
mod loss_sums;
mod metric;
mod needles;
mod paired;
mod perplexity;
mod prefix;
mod protocol;
mod report;
mod ruler;
mod saved;
mod settings;
mod stats;
mod task;

pub use changed_setting::ChangedSetting;
pub use changes::HowMeasured;
pub use effective::{EffectiveLength, EffectiveRule, KEPT_SHARE, effective_lengths};
pub use error::{Error, Result};
pub use gain::{FarText, Gain, GainBaseline, GainConfig, GainWindows, is_in_nats};
pub use language_model::{LanguageModel, Scorer};
pub use loss_sums::{Perplexity, ppl_of};
pub use metric::Metric;
pub use needles::{
    Association, Filler, Haystack, Needle, NeedleConfig, NeedleKind, NeedleStyle, NeedleText,
    NeedleTextConfig, Ordinal, Passkey, PasskeyConfig, Protocol, needle_texts,
};
pub use paired::{
    Difference, PairedMethod, Unpaired, add_gain_intervals, add_task_differences,
    add_window_differences, interval_of_shares, metric_difference, paired_scores, t_95,
    task_difference, window_difference,
};
pub use perplexity::{PerplexityRun, ScoredWindow, WindowBatch, perplexity};
pub use protocol::{PplProtocol, UnknownProtocol, WindowPlan, WindowSettings};
pub use report::{EvalReport, EvalResult, MetricValue, PplResult, TaskResult, Trial, WindowLosses};
pub use ruler::{
    Essay, QaSet, Ruler, RulerAverages, RulerData, RulerTask, RulerTrials, string_match_all,
    string_match_part,
};
pub use saved::{EvalState, SavedJob};
pub use stats::{has_spread, mean, mean_stderr, spearman, wilson_interval};
pub use task::{Task, TaskInfo, TaskRun};
