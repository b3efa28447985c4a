//! The results of a search: the factors with their provenance, and the numbers.

use longrope_eval::ppl_of;
use longrope_rope::{Provenance, RopeArtifact, RopeSpec};
use longrope_search::Search;

use super::{Measurements, SearchRun};
use crate::error::{Error, Result};
use crate::scoring::Adapted;
use crate::search::objective::kind::ObjectiveKind;
use crate::search::result::SearchResult;

/// Relative to the run folder.
const FACTORS_FILE: &str = "rope.json";

impl SearchRun<'_> {
    /// Writes the factors.
    pub(super) fn write_factors(&self, search: &Search) -> Result<()> {
        let best = search.best().ok_or(Error::NoCandidate)?;
        let spec = self.target.artifact_spec(&best.candidate)?;
        let artifact = RopeArtifact::from_spec(&spec, self.provenance(search, best.score))
            .with_local(self.local_rope);
        self.run.write(FACTORS_FILE, &artifact.to_json_pretty())
    }

    /// Whether there is a file of factors that can be read.
    pub(super) fn has_factors(&self) -> bool {
        let text = fs_err::read_to_string(self.run.path(FACTORS_FILE)).ok();
        text.is_some_and(|text| RopeArtifact::from_json(&text).is_ok())
    }

    /// The result of a search, whose winner is `winner`.
    pub(super) fn result(
        &self,
        search: &Search,
        winner: &RopeSpec,
        measured: Measurements,
        elapsed_secs: f64,
    ) -> Result<SearchResult> {
        let Measurements {
            searched,
            baselines,
            verdict,
        } = measured;
        let best = search.best().ok_or(Error::NoCandidate)?;
        let target_context = self.target.target();
        let progress = search.progress();
        let evaluations = progress.evaluations;
        let n_samples = self.calibration.samples.len();
        let context = self.calibration.context();
        let adapted = self.adapted();
        // Every candidate is adapted to once.
        let trained = adapted
            .as_ref()
            .map_or(0, |adapted| evaluations * adapted.tokens);
        Ok(SearchResult {
            format: "longrope-search-result".to_owned(),
            version: 1,
            source: Some(self.source.clone()),
            target_context,
            best_nats: best.score,
            best_ppl: ppl_of(best.score),
            start_tokens: best.candidate.start_tokens,
            attention_scale: winner.resolve(target_context).attention_scale(),
            evaluations,
            token_evaluations: progress.sample_evaluations * context + trained,
            token_evaluations_saved: (evaluations * n_samples)
                .saturating_sub(progress.sample_evaluations)
                * context,
            objective: self.objective.description().to_owned(),
            objective_choice: self.choice.clone(),
            adapted,
            needle_weight: (self.objective == ObjectiveKind::Combined)
                .then_some(self.calibration.needle_share),
            baselines: baselines
                .into_iter()
                .map(|method| method.compared_with(&searched))
                .collect(),
            searched,
            failures: search
                .state()
                .history()
                .iter()
                .map(|generation| generation.failures.len())
                .sum(),
            verdict,
            elapsed_secs,
        })
    }

    /// How the model was adapted to each RoPE, if it was.
    fn adapted(&self) -> Option<Adapted> {
        let adaptation = self.calibration.adaptation.as_deref();
        adaptation.map(|adaptation| adaptation.report().clone())
    }

    fn provenance(&self, search: &Search, score: f64) -> Provenance {
        let objective = self.objective.description();
        let objective = match self.adapted() {
            Some(adapted) => format!("{objective}; {adapted}"),
            None => objective.to_owned(),
        };
        Provenance {
            tool_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
            model_fingerprint: Some(self.source.model_fingerprint.clone()),
            text_fingerprint: Some(self.text_fingerprint.clone()),
            seed: Some(search.state().seed()),
            profile: Some(self.profile.to_owned()),
            objective: Some(objective),
            score_nats: Some(score),
            evaluations: Some(search.progress().evaluations as u64),
            target_context: Some(self.target.target()),
        }
    }
}
