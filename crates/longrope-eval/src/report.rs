//! Results as programs read them.

use crate::protocol::Protocol;
use serde::{Deserialize, Serialize};

/// The file or output of an evaluation: `format`, `version`, results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Always `longrope-eval`.
    pub format: String,
    /// Always 1.
    pub version: u32,
    /// One entry per task, RoPE and context.
    pub results: Vec<PplResult>,
}

impl EvalReport {
    /// Wraps results.
    pub fn new(results: Vec<PplResult>) -> Self {
        Self {
            format: "longrope-eval".to_owned(),
            version: 1,
            results,
        }
    }
}

/// A perplexity and how it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PplResult {
    /// Always `ppl`.
    pub task: String,
    /// The RoPE as it was named.
    pub rope: String,
    /// Tokens of a window.
    pub context: usize,
    /// Tokens from one window to the next; the context where windows do not overlap.
    pub stride: usize,
    /// Windows scored.
    pub n_windows: usize,
    /// Tokens scored.
    pub n_tokens: usize,
    /// Mean loss per token, nats.
    pub nll_nats: f64,
    /// Standard error of the mean loss by the spread between windows, nats.
    pub stderr_nats: Option<f64>,
    /// `exp(Σ nats / Σ tokens)`.
    pub ppl: f64,
    /// `exp` of the mean of window means.
    pub ppl_window_mean: f64,
    /// Where the beginning-of-text token stands: `document`, `window` or `none`.
    pub bos: String,
    /// How it was measured, by name; says which of the two perplexities that program reports.
    #[serde(default)]
    pub protocol: Protocol,
    /// Time taken, seconds.
    pub elapsed_secs: f64,
}

impl PplResult {
    /// The perplexity that the protocol reports: of window means for `yarn` and `truncate`, else of tokens.
    pub fn reported_ppl(&self) -> f64 {
        match self.protocol {
            Protocol::Longrope | Protocol::LlamaCpp => self.ppl,
            Protocol::Yarn | Protocol::Truncate => self.ppl_window_mean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_pinned() {
        let report = EvalReport::new(vec![PplResult {
            task: "ppl".into(),
            rope: "yarn".into(),
            context: 512,
            stride: 512,
            n_windows: 2,
            n_tokens: 1022,
            nll_nats: 1.5,
            stderr_nats: None,
            ppl: 4.5,
            ppl_window_mean: 4.5,
            bos: "document".into(),
            protocol: Protocol::Longrope,
            elapsed_secs: 0.25,
        }]);
        let expected = concat!(
            r#"{"format":"longrope-eval","version":1,"results":[{"task":"ppl","rope":"yarn","#,
            r#""context":512,"stride":512,"n_windows":2,"n_tokens":1022,"nll_nats":1.5,"#,
            r#""stderr_nats":null,"ppl":4.5,"ppl_window_mean":4.5,"bos":"document","#,
            r#""protocol":"longrope","elapsed_secs":0.25}]}"#
        );
        assert_eq!(serde_json::to_string(&report).unwrap(), expected);
    }
}
