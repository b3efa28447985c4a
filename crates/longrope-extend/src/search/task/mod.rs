//! A search from its inputs to its files.

mod begun;
mod resume;
mod samples;

use std::path::Path;

use longrope_search::{Candidate, Search, SearchConfig, SearchProblem, TargetRope};

use crate::error::Result;
use crate::interrupt::Interrupt;
use crate::run_folder::{RunFolder, RunKind, RunMode, RunSettings};
use crate::search::adapt::AdaptConfig;
use crate::search::events::{SearchEvent, Watch};
use crate::search::inputs::SearchInputs;
use crate::search::objective::model::ModelObjective;
use crate::search::result::SearchOutcome;
use crate::search::run::SearchRun;
use crate::search::saved::journal::{Journal, METHODS_FILE, MethodJournal, SCORES_FILE};
use crate::search::saved::recorded::Recorded;

use begun::{begun_as, choose, take_begun_seeds, target_and_own};
use resume::{begun_with, known, resumed_or_new};
use samples::{SearchSamples, sample_shape};

/// Everything a search depends on.
#[derive(Clone, Debug)]
pub struct SearchTask<'a> {
    /// Model, text and settings.
    pub inputs: SearchInputs<'a>,
    /// What candidates stand for.
    pub target: TargetRope,
    /// What is searched for; usually [`TargetRope::problem`] of `target`.
    pub problem: SearchProblem,
    /// Candidates to start from, beside the seeds and the RoPE of the model.
    pub init: Vec<Candidate>,
    /// Run folder.
    pub out: &'a Path,
    /// Whether to begin or to continue the search in that folder.
    pub mode: RunMode,
    /// Whether to measure the methods before the search instead of after it.
    pub methods_first: bool,
    /// Whether to choose the objective instead of taking that of `inputs`: text and passkeys if the model finds passkeys
    /// within its own window, else text. A resumed search keeps its choice.
    pub chooses_objective: bool,
    /// How the model is adapted to each candidate before it is scored.
    pub adapt: AdaptConfig,
}

impl SearchTask<'_> {
    /// Checks what is known of a search before its model and its text are loaded against the search that was begun in a
    /// folder. Nothing is written.
    ///
    /// # Errors
    /// [`Error::OtherSettings`](crate::Error::OtherSettings); a `run.json` or a state that cannot be read.
    pub fn check_begun(
        out: &Path,
        problem: &SearchProblem,
        evolution: &SearchConfig,
        seed: u64,
        profile: &str,
    ) -> Result<()> {
        let mut evolution = evolution.clone();
        take_begun_seeds(&mut evolution, out)?;
        RunFolder::check_known(out, &known(problem, &evolution, seed, profile)?)
    }

    /// Runs the search, or what is left of it.
    ///
    /// The run folder gets `config.toml`, `search/inputs.json`, `search/state.json` and `metrics.jsonl` after every
    /// generation, and `search/result.json` and `rope.json` at the end.
    ///
    /// # Errors
    /// If the inputs do not allow the search, the folder holds another one, an interrupt is requested, or the model or
    /// all devices fail. The state is saved in the last cases.
    pub fn run(self, interrupt: &Interrupt, mut watch: Watch<'_>) -> Result<SearchOutcome> {
        let problem = self.problem;
        problem.validate()?;
        let begun = Recorded::of_begun(self.out, self.mode);
        let mut inputs = begun_as(self.inputs, begun.as_ref(), self.out, self.mode)?;
        let (target, own) = target_and_own(self.target, &inputs, begun.as_ref());
        // Validated before the model is tried and the folder is made.
        let seed = inputs.calibration.seed;
        let shape = sample_shape(&self.adapt, &inputs, &target, &problem)?;
        let context = shape.n_tokens;
        let begun_with = begun_with(&problem, &inputs, &self.init)?;
        let init = with_own(self.init, &target, &inputs.evolution, &problem)?;
        let new = Search::with_init(problem, inputs.evolution.clone(), init, seed)?;
        let mut choice = None;
        if self.chooses_objective {
            choice = choose(&mut inputs, begun.as_ref(), &own, context, interrupt)?;
        }
        let begun_adapt = begun.as_ref().and_then(|begun| begun.adapt.as_ref());
        let samples = SearchSamples::new(
            &inputs,
            &self.adapt,
            shape,
            target.target(),
            &own,
            begun_adapt,
        )?;
        let recorded = samples.recorded(&inputs, &target, &own, choice.as_ref());
        let calibration = &samples.calibration;
        let settings = RunSettings {
            text: &inputs.settings,
            fixed: begun_with,
        };
        let run = RunFolder::open(self.out, RunKind::Search, self.mode, &settings)?;
        let search = resumed_or_new(&run, new, &recorded)?;
        if let Some(choice) = &choice {
            watch.event(&SearchEvent::Chosen { choice });
        }
        let scored = calibration.samples.iter().cloned();
        let objective = ModelObjective::on_devices(inputs.models, &target, scored, interrupt)?
            .with_adaptation(calibration.adaptation.clone())
            .with_journals(
                Journal::open(run.path(SCORES_FILE))?,
                MethodJournal::open(run.path(METHODS_FILE))?,
            );
        let setting = SearchRun {
            run: &run,
            calibration,
            unseen: samples.unseen.as_ref(),
            target: &target,
            local_rope: inputs.models.decoder().config().local_rope.as_ref(),
            profile: &inputs.profile,
            objective: inputs.calibration.objective,
            choice,
            source: inputs.source,
            text_fingerprint: recorded.text_fingerprint,
            methods_first: self.methods_first,
        };
        setting.finish_search(search, objective.with_watch(watch))
    }
}

/// The candidates to start from, with the RoPE that the model has now among them.
fn with_own(
    mut init: Vec<Candidate>,
    target: &TargetRope,
    evolution: &SearchConfig,
    problem: &SearchProblem,
) -> Result<Vec<Candidate>> {
    if let Some(own) = target.own()
        && let Some(own) = target.candidate_of(own, evolution, &evolution.space(problem)?)?
        && !init.contains(&own)
    {
        if evolution
            .check_starts(init.len() + 1, problem.target_context)
            .is_ok()
        {
            init.push(own);
        } else {
            tracing::warn!(
                "the search does not start from the RoPE of the model: `search.population` has no place for it beside the seeds"
            );
        }
    }
    Ok(init)
}
