//! The loop of a search, and the files it writes.

use std::path::Path;

use longrope_eval::ppl_of;
use longrope_model::{ResultSource, rope_fingerprint};
use longrope_rope::{Method, Provenance, RopeArtifact, RopeSpec};
use longrope_search::{Generation, Search, TargetRope};
use longrope_trainer::run::records;

use super::calibration::Calibration;
use super::events::SearchEvent;
use super::generation_line::metrics;
use super::measured::{CHECKPOINT, NamedSpec};
use super::method_loss::MethodLoss;
use super::objective::ModelObjective;
use super::objective_choice::ObjectiveChoice;
use super::objective_kind::ObjectiveKind;
use super::result::{RESULT_FILE, SearchOutcome, SearchResult};
use super::unseen::Unseen;
use super::verdict::Verdict;
use crate::error::{Error, Result};
use crate::json_files::{json_lines, read_json};
use crate::run_folder::RunFolder;
use crate::scoring::Adapted;
use crate::stopwatch::Stopwatch;

/// Methods that a search is compared with, beside the RoPE that the model has now.
const METHODS: [Method; 5] = [
    Method::None,
    Method::Pi,
    Method::Ntk,
    Method::DynamicNtk,
    Method::Yarn,
];

/// The time so far, relative to the run folder; see [`Stopwatch`].
pub(crate) const TIME_FILE: &str = "search/time.json";

/// Failed measurements of a generation that are logged one by one.
const MAX_FAILURES_SHOWN: usize = 3;

/// What a search needs besides its state and objective.
pub(crate) struct SearchRun<'a> {
    pub(crate) run: &'a RunFolder,
    pub(crate) calibration: &'a Calibration,
    /// What the winner is judged on; `None` if no text is held out.
    pub(crate) unseen: Option<&'a Unseen>,
    pub(crate) target: &'a TargetRope,
    /// The RoPE of layers that have one of their own, which a search does not change.
    pub(crate) local_rope: Option<&'a RopeSpec>,
    pub(crate) profile: &'a str,
    pub(crate) objective: ObjectiveKind,
    /// Why, if the search was left to choose it.
    pub(crate) choice: Option<ObjectiveChoice>,
    pub(crate) source: ResultSource,
    /// Fingerprint of the samples.
    pub(crate) text_fingerprint: String,
    /// Whether the methods are measured before the search, for a display that compares with them.
    pub(crate) methods_first: bool,
}

/// What is measured after a search.
struct Measurements {
    /// The winner.
    searched: MethodLoss,
    /// The methods.
    baselines: Vec<MethodLoss>,
    verdict: Option<Verdict>,
}

impl SearchRun<'_> {
    /// Runs a search to its end, saves its state after every generation, and writes the results.
    pub(crate) fn finish_search(
        &self,
        search: Search,
        objective: ModelObjective,
    ) -> Result<SearchOutcome> {
        // A search that is over may have something left to measure. Its time is in its result.
        let before = read_json::<SearchResult>(&self.run.path(RESULT_FILE));
        let before = before.map_or(0.0, |result| result.elapsed_secs);
        let clock = Stopwatch::start_from(self.run.path(TIME_FILE), before);
        let outcome = self.search_and_measure(search, objective, &clock);
        match &outcome {
            Ok(_) => clock.clear()?,
            Err(_) => clock.save_if_possible(),
        }
        outcome
    }

    fn search_and_measure(
        &self,
        mut search: Search,
        mut objective: ModelObjective,
        clock: &Stopwatch,
    ) -> Result<SearchOutcome> {
        objective.event(&SearchEvent::Begun {
            search: &search,
            calibration: self.calibration,
            target: self.target,
        });
        if let Some(result) = self.finished(&search)? {
            if !has_factors(&self.run.path("rope.json")) {
                self.write_factors(&search)?;
            }
            return self.outcome(search, result, &mut objective);
        }
        let mut baselines = Vec::new();
        if self.methods_first {
            baselines = objective.measure(self.calibration, &self.methods()?)?;
            objective.event(&SearchEvent::Methods {
                losses: &baselines,
                calibration: self.calibration,
            });
        }
        some_candidate(&search)?;
        while !search.is_done() {
            let step = search.step(&mut objective);
            // Saved after an interrupted step too, to keep the scores measured in it.
            save_state(self.run, &search)?;
            clock.save()?;
            let generation = step?;
            // Its scores are in the state now.
            objective.clear_scores()?;
            log_generation(&generation);
            some_candidate(&search)?;
            objective.event(&SearchEvent::Generation {
                search: &search,
                generation: &generation,
            });
        }
        let best = search.best().ok_or(Error::NoCandidate)?;
        let winner = self.target.candidate_spec(&best.candidate)?;
        // Before the comparison, which may take as long as the search.
        self.write_factors(&search)?;
        let mut to_measure = vec![NamedSpec::new("searched", winner.clone())];
        if baselines.is_empty() {
            to_measure.extend(self.methods()?);
        }
        objective.event(&SearchEvent::Comparing);
        let mut measured = objective
            .measure(self.calibration, &to_measure)?
            .into_iter();
        let searched = measured.next().ok_or(Error::NoCandidate)?;
        baselines.extend(measured);
        let verdict = self.judge(&mut objective, &winner)?;
        let measured = Measurements {
            searched,
            baselines,
            verdict,
        };
        let result = self.result(&search, &winner, measured, clock.elapsed_secs())?;
        self.outcome(search, result, &mut objective)
    }

    /// The result of a search that is resumed after its end; `None` if something is left to do or to measure.
    fn finished(&self, search: &Search) -> Result<Option<SearchResult>> {
        let path = self.run.path(RESULT_FILE);
        if !search.is_done() || !path.is_file() {
            return Ok(None);
        }
        // What cannot be read is measured again.
        let result: Option<SearchResult> = read_json(&path).ok();
        let best = search.best().ok_or(Error::NoCandidate)?;
        let winner = rope_fingerprint(&self.target.candidate_spec(&best.candidate)?);
        let n_passkeys = self.calibration.passkeys.len();
        let n_methods = self.methods()?.len();
        let is_judged = |verdict: Option<&Verdict>| match (self.unseen, verdict) {
            (Some(unseen), Some(verdict)) => unseen.is_judged_in(verdict),
            (unseen, verdict) => unseen.is_none() && verdict.is_none(),
        };
        Ok(result.filter(|result| {
            result.searched.rope_fingerprint.as_ref() == Some(&winner)
                && result.searched.passkeys_found.len() == n_passkeys
                && result.baselines.len() == n_methods
                && is_judged(result.verdict.as_ref())
        }))
    }

    /// Writes the result, and makes it known.
    fn outcome(
        &self,
        search: Search,
        result: SearchResult,
        objective: &mut ModelObjective<'_>,
    ) -> Result<SearchOutcome> {
        let best = search.best().ok_or(Error::NoCandidate)?;
        let winner = self.target.candidate_spec(&best.candidate)?;
        let spec = self.target.artifact_spec(&best.candidate)?;
        let score = |method: &MethodLoss| (method.method.clone(), self.calibration.score(method));
        let outcome = SearchOutcome {
            method_scores: result.baselines.iter().map(score).collect(),
            n_samples: self.calibration.samples.len(),
            target: self.target.clone(),
            result,
            search,
            winner,
            spec,
        };
        objective.event(&SearchEvent::Done {
            run: self.run,
            outcome: &outcome,
        });
        // Written last: a search with this file is over, figures included.
        self.run.write_json(RESULT_FILE, &outcome.result)?;
        // Those of the last generation are still there if a kill came right after its state was saved.
        objective.clear_scores()?;
        objective.clear_methods()?;
        Ok(outcome)
    }

    /// The verdict on text that the search did not see, if there is some.
    fn judge(
        &self,
        objective: &mut ModelObjective<'_>,
        winner: &RopeSpec,
    ) -> Result<Option<Verdict>> {
        let Some(unseen) = self.unseen else {
            return Ok(None);
        };
        let mut ropes = vec![NamedSpec::new("searched", winner.clone())];
        ropes.extend(self.methods()?);
        unseen.judge(objective, &ropes, self.objective)
    }

    /// What a search is compared with: the methods for its target, and the model as it is.
    fn methods(&self) -> Result<Vec<NamedSpec>> {
        let (base, target) = (self.target.base(), self.target.target());
        let named = |method: Method| {
            let spec = method.spec(base, target)?;
            Ok(NamedSpec::new(method.name(), spec))
        };
        let own = self.target.own().cloned();
        let own = own.map(|own| Ok(NamedSpec::new(CHECKPOINT, own)));
        METHODS.into_iter().map(named).chain(own).collect()
    }

    /// Writes the factors.
    fn write_factors(&self, search: &Search) -> Result<()> {
        let best = search.best().ok_or(Error::NoCandidate)?;
        let spec = self.target.artifact_spec(&best.candidate)?;
        let artifact = RopeArtifact::from_spec(&spec, self.provenance(search, best.score))
            .with_local(self.local_rope);
        self.run.write("rope.json", &artifact.to_json_pretty())
    }

    fn result(
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

/// Saves the state of a search and its history.
pub(crate) fn save_state(run: &RunFolder, search: &Search) -> Result<()> {
    run.write("search/state.json", &search.state().to_json()?)?;
    let lines = search.state().history().iter().map(metrics);
    run.write(
        "metrics.jsonl",
        &(records::header("search")? + &json_lines(lines)?),
    )
}

/// Fails if every candidate so far has failed: descendants of such candidates would fail too.
fn some_candidate(search: &Search) -> Result<()> {
    if search.best().is_none_or(|best| best.score.is_finite()) {
        return Ok(());
    }
    let history = search.state().history().iter();
    let first = history.flat_map(|generation| &generation.failures).next();
    Err(
        first.map_or(Error::NoCandidate, |failure| Error::AllFailed {
            candidates: search.progress().evaluations,
            sample: failure.sample,
            reason: failure.reason.clone(),
        }),
    )
}

/// Whether there is a file of factors that can be read.
fn has_factors(path: &Path) -> bool {
    let text = fs_err::read_to_string(path).ok();
    text.is_some_and(|text| RopeArtifact::from_json(&text).is_ok())
}

fn log_generation(generation: &Generation) {
    tracing::info!(
        "generation {}: best objective {:.4} nats{}, median {:.4}, {} evaluations, {} ended early",
        generation.index,
        generation.best.score,
        if generation.new_best { " (new)" } else { "" },
        generation.median,
        generation.evaluations,
        generation.dropped,
    );
    for failure in generation.failures.iter().take(MAX_FAILURES_SHOWN) {
        tracing::warn!(
            "a candidate failed on sample {}: {}",
            failure.sample,
            failure.reason
        );
    }
    let n_more = generation.failures.len().saturating_sub(MAX_FAILURES_SHOWN);
    if n_more > 0 {
        tracing::warn!("{n_more} further measurements of this generation failed");
    }
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
