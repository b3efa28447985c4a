//! A difference with its uncertainty, and why two results may have none.

use serde::{Deserialize, Serialize};

use crate::stats::has_spread;

/// The difference between two results on the same windows or trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Name of the result that is subtracted.
    pub reference: String,
    /// This result minus the reference: nats per token for perplexities, scores for tasks.
    pub value: f64,
    /// Standard error of `value`; `None` if there are too few windows or trials, or if all differ by the same.
    pub stderr: Option<f64>,
    /// 95% interval of `value`; `None` if there are too few windows or trials, or if all windows differ by the same.
    pub interval: Option<[f64; 2]>,
    /// Windows or trials that both results have.
    pub n: usize,
    /// How the uncertainty was computed.
    pub method: PairedMethod,
    /// Two-sided p-value of the exact test, for trials that are right or wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p_value: Option<f64>,
    /// Whether the difference is more than chance: the interval does not include 0, and `p_value` is below 0.05.
    pub distinguishable: bool,
}

/// How the uncertainty of a difference is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum PairedMethod {
    /// Windows are independent; quantile of Student's t.
    WindowsT,
    /// Documents are independent, their windows are not; quantile of Student's t.
    DocumentsT,
    /// Neighbouring windows are not independent; moving-block bootstrap.
    WindowBlocks,
    /// Exact test of `McNemar`, with the interval of Bonett and Price.
    #[serde(rename = "mcnemar")]
    McNemar,
    /// Trials are independent; quantile of Student's t, or what holds for any shares if all differ by the same.
    TrialsT,
}

/// Two results that are not of the same windows or trials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unpaired {
    /// A setting that changes the numbers.
    #[error("the {what} differs: {one} and {other}")]
    Setting {
        /// What differs.
        what: &'static str,
        /// In the first result.
        one: String,
        /// In the second.
        other: String,
    },
    /// Settings of the task.
    #[error("the settings of the task differ: {one}; {other}")]
    Settings {
        /// Those that differ, in the first result.
        one: String,
        /// In the second.
        other: String,
    },
    /// The windows differ, although the settings are the same.
    #[error("the windows differ, so they are of different text")]
    Windows,
    /// A perplexity without the losses of its windows.
    #[error("the losses of the windows are not in the file, which an older version has written")]
    NoWindows,
    /// The trials differ in number.
    #[error("the trials differ: {one} and {other} of them, or other numbers")]
    Trials {
        /// Trials of the first result.
        one: usize,
        /// Trials of the second.
        other: usize,
    },
    /// A metric that is not a mean over trials.
    #[error("the trials have no scores of `{metric}`")]
    NoScores {
        /// Name of the metric.
        metric: String,
    },
}

impl Unpaired {
    /// An error unless both values are equal.
    pub(super) fn unless_equal<T: PartialEq + std::fmt::Display>(
        what: &'static str,
        one: &T,
        other: &T,
    ) -> Result<(), Self> {
        if one == other {
            return Ok(());
        }
        Err(Self::Setting {
            what,
            one: one.to_string(),
            other: other.to_string(),
        })
    }
}

/// A difference with its interval `value ± quantile · stderr`.
pub(super) struct Estimate {
    pub(super) value: f64,
    pub(super) stderr: f64,
    pub(super) quantile: f64,
}

impl Difference {
    /// Uncertain if all windows or trials differ by the same. If none differs by more than rounding, both results are the
    /// same, and the interval is their difference only.
    pub(super) fn of(estimate: &Estimate, n: usize, method: PairedMethod, reference: &str) -> Self {
        let Estimate {
            value,
            stderr,
            quantile,
        } = *estimate;
        let is_same = !has_spread(stderr);
        if is_same && has_spread(value.abs()) {
            return Self::uncertain(value, n, method, reference);
        }
        let interval = [value - quantile * stderr, value + quantile * stderr];
        Self {
            reference: reference.to_owned(),
            value,
            stderr: Some(stderr),
            interval: Some(interval),
            n,
            method,
            p_value: None,
            distinguishable: !is_same && (interval[0] > 0.0 || interval[1] < 0.0),
        }
    }

    /// A difference of windows or trials that are too few for an interval, or all differ by the same.
    pub(super) fn uncertain(value: f64, n: usize, method: PairedMethod, reference: &str) -> Self {
        Self {
            reference: reference.to_owned(),
            value,
            stderr: None,
            interval: None,
            n,
            method,
            p_value: None,
            distinguishable: false,
        }
    }

    /// Half of the width of the interval.
    pub fn half_width(&self) -> Option<f64> {
        self.interval.map(|[low, high]| (high - low) / 2.0)
    }
}
