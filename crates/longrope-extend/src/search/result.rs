//! The result of a search.

use longrope_model::ResultSource;
use longrope_rope::RopeSpec;
use longrope_search::{Search, TargetRope};
use serde::{Deserialize, Serialize};

use super::method_loss::MethodLoss;
use super::verdict::Verdict;

/// `search/result.json`, relative to the run folder.
pub(crate) const RESULT_FILE: &str = "search/result.json";

/// The result of a search: `search/result.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SearchResult {
    /// `longrope-search-result`
    pub format: String,
    /// 1
    pub version: u32,
    /// What it was measured on; `None` in older files. The fingerprint is that of the whole text, not of the samples.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ResultSource>,
    /// The context that factors were searched for, tokens.
    pub target_context: usize,
    /// Score of the winner, nats.
    pub best_nats: f64,
    /// `exp(best_nats)`.
    pub best_ppl: f64,
    /// First positions that the winner leaves unscaled.
    pub start_tokens: usize,
    /// Attention scale of the winner.
    pub attention_scale: f64,
    /// Candidates that were measured.
    pub evaluations: usize,
    /// Tokens that the model was run on for them.
    pub token_evaluations: usize,
    /// Tokens that racing saved.
    #[serde(default)]
    pub token_evaluations_saved: usize,
    /// Measurements that failed.
    pub failures: usize,
    /// Description of the objective.
    pub objective: String,
    /// The winner on text and needles.
    pub searched: MethodLoss,
    /// The methods it is compared with, on the same samples.
    pub baselines: Vec<MethodLoss>,
    /// The winner against the methods on text that the search did not see; `None` in older files, and if no text was held
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Time of this process, seconds.
    pub elapsed_secs: f64,
}

/// A finished search.
#[derive(Clone, Debug)]
pub struct SearchOutcome {
    /// Its numbers.
    pub result: SearchResult,
    /// The search, with its history.
    pub search: Search,
    /// What candidates stood for.
    pub target: TargetRope,
    /// The winner as it was measured: with its own factor set only.
    pub winner: RopeSpec,
    /// The winner as it is saved in `rope.json`, with all factor sets.
    pub spec: RopeSpec,
    /// Scores that the methods would have as candidates.
    pub method_scores: Vec<(String, f64)>,
    /// Number of samples that candidates were scored on.
    pub n_samples: usize,
}
