//! The loop of a search, and the files it writes.

mod results;

use longrope_model::{ResultSource, rope_fingerprint};
use longrope_rope::RopeSpec;
use longrope_search::{Generation, Search, TargetRope};

use crate::error::{Error, Result};
use crate::json_files::read_json;
use crate::run_folder::RunFolder;
use crate::search::calibration::Calibration;
use crate::search::events::SearchEvent;
use crate::search::held_out::unseen::Unseen;
use crate::search::methods::baselines::baseline_ropes;
use crate::search::methods::loss::MethodLoss;
use crate::search::methods::measured::{NamedSpec, SEARCHED};
use crate::search::objective::choice::ObjectiveChoice;
use crate::search::objective::kind::ObjectiveKind;
use crate::search::objective::model::ModelObjective;
use crate::search::result::{RESULT_FILE, SearchOutcome, SearchResult};
use crate::search::saved::state::save_state;
use crate::search::verdict::Verdict;
use crate::stopwatch::Stopwatch;

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
            if !self.has_factors() {
                self.write_factors(&search)?;
            }
            return self.outcome(search, result, &mut objective);
        }
        let mut baselines = Vec::new();
        if self.methods_first {
            baselines = objective.measure(self.calibration, &baseline_ropes(self.target)?)?;
            objective.event(&SearchEvent::Methods {
                losses: &baselines,
                calibration: self.calibration,
            });
        }
        self.run_generations(&mut search, &mut objective, clock)?;
        let best = search.best().ok_or(Error::NoCandidate)?;
        let winner = self.target.candidate_spec(&best.candidate)?;
        // Before the comparison, which may take as long as the search.
        self.write_factors(&search)?;
        let measured = self.measure(&mut objective, &winner, baselines)?;
        let result = self.result(&search, &winner, measured, clock.elapsed_secs())?;
        self.outcome(search, result, &mut objective)
    }

    /// Runs the generations that are left, and saves the state after each.
    fn run_generations(
        &self,
        search: &mut Search,
        objective: &mut ModelObjective<'_>,
        clock: &Stopwatch,
    ) -> Result<()> {
        some_candidate(search)?;
        while !search.is_done() {
            let step = search.step(objective);
            // Saved after an interrupted step too, to keep the scores measured in it.
            save_state(self.run, search)?;
            clock.save()?;
            let generation = step?;
            // Its scores are in the state now.
            objective.clear_scores()?;
            log_generation(&generation);
            some_candidate(search)?;
            objective.event(&SearchEvent::Generation {
                search,
                generation: &generation,
            });
        }
        Ok(())
    }

    /// Measures the winner, and the methods if `baselines` does not have them from before the search.
    fn measure(
        &self,
        objective: &mut ModelObjective<'_>,
        winner: &RopeSpec,
        mut baselines: Vec<MethodLoss>,
    ) -> Result<Measurements> {
        let mut to_measure = vec![NamedSpec::new(SEARCHED, winner.clone())];
        if baselines.is_empty() {
            to_measure.extend(baseline_ropes(self.target)?);
        }
        objective.event(&SearchEvent::Comparing);
        let mut measured = objective
            .measure(self.calibration, &to_measure)?
            .into_iter();
        let searched = measured.next().ok_or(Error::NoCandidate)?;
        baselines.extend(measured);
        let verdict = self.judge(objective, winner)?;
        Ok(Measurements {
            searched,
            baselines,
            verdict,
        })
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
        let n_methods = baseline_ropes(self.target)?.len();
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
        let mut ropes = vec![NamedSpec::new(SEARCHED, winner.clone())];
        ropes.extend(baseline_ropes(self.target)?);
        unseen.judge(objective, &ropes, self.objective)
    }
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
mod tests;
