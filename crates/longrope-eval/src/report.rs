//! Results in the form they are written to files.

use std::fmt;

use longrope_model::ResultSource;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::effective::EffectiveLength;
use crate::metric::Metric;
use crate::paired::Difference;
use crate::perplexity::ScoredWindow;
use crate::protocol::PplProtocol;
use crate::stats::{is_whole, mean, mean_stderr, wilson_interval};

/// The results of an evaluation, as one JSON file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Always `longrope-eval`.
    pub format: String,
    /// Always 1.
    pub version: u32,
    /// What was measured; `None` in files of version 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResultSource>,
    /// One entry per task, RoPE and context.
    pub results: Vec<EvalResult>,
    /// One entry per task and RoPE that was measured beyond the original window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub effective_lengths: Vec<EffectiveLength>,
}

impl EvalReport {
    /// A report of these results.
    pub fn new(results: impl IntoIterator<Item = impl Into<EvalResult>>) -> Self {
        Self {
            format: "longrope-eval".to_owned(),
            version: 1,
            source: None,
            results: results.into_iter().map(Into::into).collect(),
            effective_lengths: Vec::new(),
        }
    }
}

/// One entry of a report. Its `task` is `ppl`, or the name of a [`Task`](crate::Task).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EvalResult {
    /// A perplexity.
    Ppl(PplResult),
    /// The trials of a task.
    Task(TaskResult),
}

impl EvalResult {
    /// Task, context and name of the RoPE.
    pub fn key(&self) -> (&str, usize, &str) {
        match self {
            Self::Ppl(ppl) => (&ppl.task, ppl.context, &ppl.rope),
            Self::Task(task) => (&task.task, task.context, &task.rope),
        }
    }

    /// Fingerprint of the RoPE at this context; `None` in older files.
    pub fn rope_fingerprint(&self) -> Option<&str> {
        match self {
            Self::Ppl(ppl) => ppl.rope_fingerprint.as_deref(),
            Self::Task(task) => task.rope_fingerprint.as_deref(),
        }
    }
}

/// `ppl at 512 under yarn`
impl fmt::Display for EvalResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (task, context, rope) = self.key();
        write!(f, "{task} at {context} under {rope}")
    }
}

impl From<PplResult> for EvalResult {
    fn from(result: PplResult) -> Self {
        Self::Ppl(result)
    }
}

impl From<TaskResult> for EvalResult {
    fn from(result: TaskResult) -> Self {
        Self::Task(result)
    }
}

/// A perplexity, and how it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PplResult {
    /// Always `ppl`.
    pub task: String,
    /// Name of the RoPE.
    pub rope: String,
    /// Fingerprint of the RoPE at this context; `None` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_fingerprint: Option<String>,
    /// Tokens of a window.
    pub context: usize,
    /// Tokens from one window to the next; the context if windows do not overlap.
    pub stride: usize,
    /// Tokens of the windows that were divided into those of the context, so that all contexts score the same text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<usize>,
    /// Windows scored.
    pub n_windows: usize,
    /// Tokens scored.
    pub n_tokens: usize,
    /// Mean loss per token, nats.
    pub nll_nats: f64,
    /// Standard error of the logarithm of the reported perplexity, nats: from the spread between windows, for `llama.cpp`
    /// from that between tokens. Files of version 0.1 hold that of the mean over windows.
    pub stderr_nats: Option<f64>,
    /// `exp(Σ nats / Σ tokens)`.
    pub ppl: f64,
    /// `exp` of the mean of window means.
    pub ppl_window_mean: f64,
    /// Where the beginning-of-text token is placed: `document`, `window`, `replaced` or `none`.
    pub bos: String,
    /// The protocol. It decides which of the two perplexities is reported.
    #[serde(default)]
    pub protocol: PplProtocol,
    /// The windows and their losses; `None` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<WindowLosses>,
    /// The difference to the reference, if several RoPEs were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Time taken, seconds.
    pub elapsed_secs: f64,
}

/// The windows of a perplexity and their losses, one entry per window in each list.
///
/// With them, the difference of two perplexities on the same windows can be computed from their files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WindowLosses {
    /// Index of the document.
    pub document: Vec<usize>,
    /// Index of the window's first token in the document.
    pub start: Vec<usize>,
    /// Scored tokens.
    pub n_tokens: Vec<usize>,
    /// Mean loss of the scored tokens, nats.
    pub nll_nats: Vec<f64>,
}

impl WindowLosses {
    /// Adds a window. One without scored tokens is left out.
    pub fn add(&mut self, scored: &ScoredWindow) {
        if scored.losses.is_empty() {
            return;
        }
        let sum: f64 = scored.losses.iter().map(|nll| f64::from(*nll)).sum();
        self.document.push(scored.window.doc_idx);
        self.start.push(scored.window.start);
        self.n_tokens.push(scored.losses.len());
        self.nll_nats.push(sum / scored.losses.len() as f64);
    }
}

impl PplResult {
    /// The perplexity that the protocol reports: `ppl_window_mean` for `yarn` and `truncate`, otherwise `ppl`.
    pub fn reported_ppl(&self) -> f64 {
        match self.protocol {
            PplProtocol::Longrope | PplProtocol::LlamaCpp => self.ppl,
            PplProtocol::Yarn | PplProtocol::Truncate => self.ppl_window_mean,
        }
    }

    /// The logarithm of [`Self::reported_ppl`], nats: the mean loss per token, for `yarn` and `truncate` that of window
    /// means.
    pub fn reported_nats(&self) -> f64 {
        match self.protocol {
            PplProtocol::Longrope | PplProtocol::LlamaCpp => self.nll_nats,
            PplProtocol::Yarn | PplProtocol::Truncate => self.ppl_window_mean.ln(),
        }
    }
}

/// The value of a metric, with its uncertainty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MetricValue {
    /// Name of the metric.
    #[serde(rename = "metric")]
    pub name: String,
    /// Mean of the scores.
    pub value: f64,
    /// Standard error of the mean, from the spread of the scores; for context gains, from that of windows or documents.
    pub stderr: Option<f64>,
    /// 95% interval: Wilson's if every score is 0 or 1; that of the mean over windows for context gains.
    pub interval: Option<[f64; 2]>,
    /// Whether higher values are better.
    pub higher_is_better: bool,
}

impl MetricValue {
    /// The mean of these scores.
    pub fn of(metric: &Metric, scores: &[f64]) -> Self {
        let count = |whole: f64| scores.iter().filter(|s| is_whole(**s, whole)).count();
        let (n_success, n_failure) = (count(1.0), count(0.0));
        let interval = (!scores.is_empty() && n_success + n_failure == scores.len())
            .then(|| wilson_interval(n_success, scores.len()));
        Self {
            name: metric.name.clone(),
            value: mean(scores),
            stderr: mean_stderr(scores),
            interval,
            higher_is_better: metric.higher_is_better,
        }
    }
}

/// One trial of a task: the question and its scores.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Number of the trial.
    pub trial: usize,
    /// One score per metric of the task.
    pub scores: Vec<f64>,
    /// Details that depend on the task: depth, expected and given answer, number of tokens and so on.
    #[serde(flatten)]
    pub details: Map<String, Value>,
}

/// The result of a task at one context under one RoPE, and how it was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskResult {
    /// Name of the task.
    pub task: String,
    /// Version of its prompts and scores.
    pub task_version: u32,
    /// Name of the RoPE.
    pub rope: String,
    /// Fingerprint of the RoPE at this context; `None` in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rope_fingerprint: Option<String>,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// The window that the RoPE was trained on, tokens; `None` in files of version 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original_context: Option<usize>,
    /// Number of trials.
    pub n: usize,
    /// The main metric.
    #[serde(flatten)]
    pub metric: MetricValue,
    /// The difference of the main metric to the reference, if several RoPEs were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub difference: Option<Difference>,
    /// Further metrics of the same trials.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub other_metrics: Vec<MetricValue>,
    /// How it was scored.
    pub protocol: String,
    /// Settings that affect the numbers.
    pub settings: Map<String, Value>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Time taken, seconds.
    pub elapsed_secs: f64,
    /// All trials.
    pub trials: Vec<Trial>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::paired::PairedMethod;
    use serde_json::json;

    #[test]
    fn the_json_of_tasks_is_pinned() {
        let details = |depth: f64| match json!({ "depth": depth }) {
            Value::Object(details) => details,
            _ => Map::new(),
        };
        let trial = |trial, score, depth| Trial {
            trial,
            scores: vec![score],
            details: details(depth),
        };
        let result = TaskResult {
            task: "passkey".into(),
            task_version: 1,
            rope: "yarn".into(),
            context: 512,
            original_context: Some(256),
            n: 2,
            metric: MetricValue::of(&Metric::higher("accuracy"), &[1.0, 0.0]),
            protocol: "teacher-forced".into(),
            seed: 42,
            elapsed_secs: 0.25,
            trials: vec![trial(0, 1.0, 0.5), trial(1, 0.0, 0.25)],
            ..TaskResult::default()
        };
        let report = EvalReport::new([result]);
        let expected = concat!(
            r#"{"format":"longrope-eval","version":1,"results":[{"task":"passkey","#,
            r#""task_version":1,"rope":"yarn","context":512,"original_context":256,"n":2,"metric":"accuracy","#,
            r#""value":0.5,"stderr":0.5,"interval":[0.09453120573423071,0.9054687942657693],"#,
            r#""higher_is_better":true,"protocol":"teacher-forced","settings":{},"seed":42,"#,
            r#""elapsed_secs":0.25,"trials":[{"trial":0,"scores":[1.0],"depth":0.5},"#,
            r#"{"trial":1,"scores":[0.0],"depth":0.25}]}]}"#
        );
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<EvalReport>(&text).unwrap(), report);
    }

    #[test]
    fn what_a_protocol_reports_is_one_number_in_two_units() {
        for protocol in PplProtocol::ALL {
            let result = PplResult {
                protocol,
                nll_nats: 2.0,
                ppl: 2.0_f64.exp(),
                ppl_window_mean: 3.0_f64.exp(),
                ..PplResult::default()
            };
            let off = result.reported_ppl().ln() - result.reported_nats();
            assert!(off.abs() < 1e-12, "{protocol}");
        }
    }

    #[test]
    fn only_scores_of_nought_and_one_have_wilsons_interval() {
        let metric = Metric::higher("string_match_all");
        assert!(MetricValue::of(&metric, &[0.0, 1.0]).interval.is_some());
        assert!(MetricValue::of(&metric, &[0.5, 1.0]).interval.is_none());
    }

    #[test]
    fn the_json_is_pinned() {
        let report = EvalReport::new(vec![PplResult {
            task: "ppl".into(),
            rope: "yarn".into(),
            rope_fingerprint: Some("ab".into()),
            context: 512,
            stride: 512,
            within: None,
            n_windows: 2,
            n_tokens: 1022,
            nll_nats: 1.5,
            stderr_nats: None,
            ppl: 4.5,
            ppl_window_mean: 4.5,
            bos: "document".into(),
            protocol: PplProtocol::Longrope,
            windows: Some(WindowLosses {
                document: vec![0, 0],
                start: vec![0, 512],
                n_tokens: vec![511, 511],
                nll_nats: vec![1.25, 1.75],
            }),
            difference: Some(Difference {
                reference: "none".into(),
                value: -0.5,
                stderr: Some(0.25),
                interval: Some([-3.5, 2.5]),
                n: 2,
                method: PairedMethod::WindowsT,
                p_value: None,
                distinguishable: false,
            }),
            elapsed_secs: 0.25,
        }]);
        let expected = concat!(
            r#"{"format":"longrope-eval","version":1,"results":[{"task":"ppl","rope":"yarn","#,
            r#""rope_fingerprint":"ab","context":512,"stride":512,"n_windows":2,"n_tokens":1022,"nll_nats":1.5,"#,
            r#""stderr_nats":null,"ppl":4.5,"ppl_window_mean":4.5,"bos":"document","#,
            r#""protocol":"longrope","windows":{"document":[0,0],"start":[0,512],"#,
            r#""n_tokens":[511,511],"nll_nats":[1.25,1.75]},"difference":{"reference":"none","value":-0.5,"#,
            r#""stderr":0.25,"interval":[-3.5,2.5],"n":2,"method":"windows-t","#,
            r#""distinguishable":false},"elapsed_secs":0.25}]}"#
        );
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<EvalReport>(&text).unwrap(), report);
    }
}
