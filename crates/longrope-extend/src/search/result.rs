//! The result of a search.

use longrope_model::ResultSource;
use longrope_rope::RopeSpec;
use longrope_search::{Search, TargetRope};
use serde::{Deserialize, Serialize};

use super::methods::loss::MethodLoss;
use super::objective::choice::ObjectiveChoice;
use super::objective::kind::ObjectiveKind;
use super::verdict::Verdict;
use crate::scoring::Adapted;

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
    /// How it was chosen; `None` if it was given, and in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objective_choice: Option<ObjectiveChoice>,
    /// How the model was adapted to each RoPE before it was measured; `None` if it was measured as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapted: Option<Adapted>,
    /// Weight of the needles in a combined objective, 0 to 1; `None` for other objectives, and in files of version 0.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needle_weight: Option<f64>,
    /// The winner on text and needles.
    pub searched: MethodLoss,
    /// The methods it is compared with, on the same samples.
    pub baselines: Vec<MethodLoss>,
    /// The winner against the methods on text that the search did not see; `None` in older files, and if no text was held
    /// out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Time of all processes that searched, seconds: of one that was killed, up to the last state that it saved. In older
    /// files that of the last process only.
    pub elapsed_secs: f64,
}

impl SearchResult {
    /// The objective of a RoPE with these losses, nats per token: what its score would be as a candidate. `None` if the
    /// losses or the weight of a combined objective are not known.
    pub fn objective_of(&self, losses: &MethodLoss) -> Option<f64> {
        match ObjectiveKind::of_description(&self.objective)? {
            ObjectiveKind::Perplexity => Some(losses.nll_nats),
            ObjectiveKind::Needle => losses.answer_nats,
            ObjectiveKind::Combined => {
                let weight = self.needle_weight?;
                Some((1.0 - weight) * losses.nll_nats + weight * losses.answer_nats?)
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn result(objective: ObjectiveKind, needle_weight: Option<f64>) -> SearchResult {
        let searched = MethodLoss {
            method: "searched".to_owned(),
            rope_fingerprint: None,
            nll_nats: 2.0,
            answer_nats: Some(6.0),
            passkey_accuracy: None,
            text_nats: Vec::new(),
            passkeys_found: Vec::new(),
            difference: None,
            passkey_difference: None,
        };
        SearchResult {
            format: "longrope-search-result".to_owned(),
            version: 1,
            source: None,
            target_context: 1024,
            best_nats: 3.0,
            best_ppl: 20.0,
            start_tokens: 0,
            attention_scale: 1.0,
            evaluations: 1,
            token_evaluations: 1,
            token_evaluations_saved: 0,
            failures: 0,
            objective: objective.description().to_owned(),
            objective_choice: None,
            adapted: None,
            needle_weight,
            searched,
            baselines: Vec::new(),
            verdict: None,
            elapsed_secs: 1.0,
        }
    }

    #[test]
    fn the_objective_weighs_text_and_answers() {
        let of = |objective, weight| {
            let result = result(objective, weight);
            result.objective_of(&result.searched)
        };
        assert_eq!(of(ObjectiveKind::Perplexity, None), Some(2.0));
        assert_eq!(of(ObjectiveKind::Needle, None), Some(6.0));
        assert_eq!(of(ObjectiveKind::Combined, Some(0.25)), Some(3.0));
        // Files of version 0.1 do not say the weight.
        assert_eq!(of(ObjectiveKind::Combined, None), None);
    }
}
