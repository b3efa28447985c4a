//! A search from its inputs to its files.

use std::path::Path;
use std::sync::Arc;

use longrope_data::{TokenDocument, sha256_hex};
use longrope_rope::RopeSpec;
use longrope_search::{Candidate, Search, SearchConfig, SearchProblem, SearchState, TargetRope};
use serde_json::{Value, json};

use super::adapt::{AdaptConfig, RecordedAdapt};
use super::calibration::Calibration;
use super::events::{SearchEvent, Watch};
use super::held_out::{HeldOutShare, Split};
use super::inputs::SearchInputs;
use super::journal::{Journal, MethodJournal};
use super::objective::ModelObjective;
use super::objective_choice::ObjectiveChoice;
use super::recorded::{INPUTS_FILE, Recorded};
use super::result::SearchOutcome;
use super::run::{SearchRun, save_state};
use super::sample_shape::SampleShape;
use super::unseen::{Unseen, unseen_windows};
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::run_folder::{RunFolder, RunKind, RunMode, RunSettings, differences, trace_of_search};
use crate::scoring::Adaptation;

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
        let mut inputs = begun_as(self.inputs, begun.as_ref(), self.out, self.mode);
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
        let options = &inputs.calibration;
        let (mut calibration, split) = calibration_and_rest(&inputs, shape)?;
        let adaptation = adaptation(&self.adapt, &inputs, split.as_ref(), target.target())?;
        let (adaptation, recorded_adapt) = adaptation.unzip();
        calibration.adaptation.clone_from(&adaptation);
        let unseen = split
            .map(|split| {
                let n_passkeys = options.passkey_trials;
                Unseen::new(&split, inputs.tokenizer, shape, &own, n_passkeys, seed)
            })
            .transpose()?;
        let unseen = unseen.map(|unseen| unseen.adapted(adaptation.clone()));
        let mut recorded = Recorded::new(&inputs, &calibration, &target, &own);
        recorded.objective_choice.clone_from(&choice);
        recorded.adapt = recorded_adapt;
        recorded.held_out_fingerprint = unseen
            .as_ref()
            .map(|unseen| unseen.text_fingerprint().to_owned());
        let settings = RunSettings {
            text: &inputs.settings,
            fixed: begun_with,
        };
        let run = RunFolder::open(self.out, RunKind::Search, self.mode, &settings)?;
        let search = if run.has_work() {
            let search = resume(&run, seed, &inputs.evolution, &problem)?;
            recorded.check(&run)?;
            search
        } else {
            run.write_json(INPUTS_FILE, &recorded)?;
            new
        };
        // Saved before the first generation, so that a run killed during it can be resumed.
        save_state(&run, &search)?;
        if let Some(choice) = &choice {
            watch.event(&SearchEvent::Chosen { choice });
        }
        let samples = calibration.samples.iter().cloned();
        let objective = ModelObjective::on_devices(inputs.models, &target, samples, interrupt)?
            .with_adaptation(adaptation)
            .with_journals(
                Journal::open(run.path(SCORES_FILE))?,
                MethodJournal::open(run.path(METHODS_FILE))?,
            );
        let setting = SearchRun {
            run: &run,
            calibration: &calibration,
            unseen: unseen.as_ref(),
            target: &target,
            local_rope: inputs.models.decoder().config().local_rope.as_ref(),
            profile: &inputs.profile,
            objective: options.objective,
            choice,
            source: inputs.source,
            text_fingerprint: recorded.text_fingerprint,
            methods_first: self.methods_first,
        };
        setting.finish_search(search, objective.with_watch(watch))
    }
}

/// The samples of a search, and its text in two parts: the one that it sees, and the one that it does not.
///
/// By default, text is held out only if the samples fit into the rest. Text that the search sees anyway, because it is given
/// more than once, is not held out.
fn calibration_and_rest(
    inputs: &SearchInputs<'_>,
    shape: SampleShape,
) -> Result<(Calibration, Option<Split>)> {
    let options = &inputs.calibration;
    let make = |documents: &[TokenDocument]| {
        Calibration::of_shape(options, documents, inputs.tokenizer, shape)
    };
    let mut reason = "the text is too short to hold any out";
    if let Some(split) = inputs.held_out.split(inputs.documents, shape.n_tokens) {
        match make(&split.search) {
            Ok(_) if unseen_windows(&split, shape)?.is_empty() => {
                reason = "the text that would be held out is also in the rest of the text";
            }
            Ok(calibration) => return Ok((calibration, Some(split))),
            Err(error) if inputs.held_out != HeldOutShare::Auto => return Err(error),
            Err(_) => {}
        }
    }
    let calibration = make(inputs.documents)?;
    if inputs.held_out != HeldOutShare::NOTHING {
        tracing::warn!("{reason}: the result is not measured on text that the search did not see");
    }
    Ok((calibration, None))
}

/// How the model is adapted to each candidate, on the text that the search sees; `None` if it is not.
fn adaptation(
    adapt: &AdaptConfig,
    inputs: &SearchInputs<'_>,
    split: Option<&Split>,
    target: usize,
) -> Result<Option<(Arc<Adaptation>, RecordedAdapt)>> {
    if !adapt.is_on() {
        return Ok(None);
    }
    let documents = split.map_or(inputs.documents, |split| split.search.as_slice());
    let (decoder, seed) = (inputs.models.decoder(), inputs.calibration.seed);
    let started = adapt.start(decoder, documents, inputs.tokenizer, target, seed)?;
    Ok(Some(started))
}

/// The inputs of a search that an earlier version may have begun, as that version took them: without text held out, and
/// without its seed from dynamic NTK.
fn begun_as<'a>(
    inputs: SearchInputs<'a>,
    begun: Option<&Recorded>,
    out: &Path,
    mode: RunMode,
) -> SearchInputs<'a> {
    let mut inputs = inputs;
    if mode == RunMode::New {
        return inputs;
    }
    if begun.is_some_and(|begun| begun.held_out_fingerprint.is_none()) {
        inputs.held_out = HeldOutShare::NOTHING;
    }
    // What cannot be read is reported when it is resumed.
    let state = saved_state(&out.join(STATE_FILE)).ok();
    let defaults = SearchConfig::default().seeds;
    if let Some(state) = state
        && inputs.evolution.seeds == defaults
        && state.config().seeds == defaults[..defaults.len() - 1]
    {
        inputs.evolution.seeds.clone_from(&state.config().seeds);
    }
    inputs
}

/// What is searched for, and the RoPE that the model has now. A search that an earlier version has begun goes on as that
/// version took it: every model for one with a plain RoPE.
fn target_and_own(
    target: TargetRope,
    inputs: &SearchInputs<'_>,
    begun: Option<&Recorded>,
) -> (TargetRope, RopeSpec) {
    let own = &inputs.models.decoder().config().rope;
    if begun.is_some_and(Recorded::took_for_plain) {
        if target.own().is_some() {
            tracing::warn!(
                "an earlier version has begun this search and took the RoPE of the model for plain: within the original \
                 context, the result will be plain too. For one that keeps the RoPE of the model there, begin a new search"
            );
        }
        return (target.without_own(), own.plain());
    }
    (target, own.clone())
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

/// Sets the objective of a search that is left to choose: that of the search which is continued, or a new choice. `None`
/// if it was begun with a given objective.
fn choose(
    inputs: &mut SearchInputs<'_>,
    begun: Option<&Recorded>,
    own: &RopeSpec,
    context: usize,
    interrupt: &Interrupt,
) -> Result<Option<ObjectiveChoice>> {
    let choice = match begun {
        Some(begun) => begun.objective_choice.clone(),
        None => Some(ObjectiveChoice::make(inputs, own, context, interrupt)?),
    };
    if let Some(choice) = &choice {
        choice.apply(&mut inputs.calibration);
    } else if let Some(given) = begun.and_then(Recorded::objective_kind) {
        inputs.calibration.objective = given;
    }
    Ok(choice)
}

/// How long samples are and where they lie: short windows at skipped positions if the model is adapted, else real positions.
fn sample_shape(
    adapt: &AdaptConfig,
    inputs: &SearchInputs<'_>,
    target: &TargetRope,
    problem: &SearchProblem,
) -> Result<SampleShape> {
    let decoder = inputs.models.decoder();
    let original = decoder.config().rope.original_context;
    adapt.validate(decoder.config(), target.target(), inputs.sample_context)?;
    adapt.check_model(decoder, target.base(), target.target())?;
    match adapt.shape(original, target.target(), inputs.calibration.seed) {
        Some(shape) => Ok(shape),
        None => Ok(SampleShape::whole(sample_context(
            inputs.sample_context,
            problem.original_context,
            target.target(),
        )?)),
    }
}

/// Tokens of a sample: those of the target, or fewer, as a cheap proxy. The target of a recovery may be shorter than the
/// original context.
fn sample_context(wanted: Option<usize>, original: usize, target: usize) -> Result<usize> {
    match wanted {
        // Up to the original context, rescaling can only do harm.
        Some(found) if found <= original && found < target => {
            Err(Error::SampleContext { found, original })
        }
        Some(context) => Ok(context.min(target)),
        None => Ok(target),
    }
}

/// Resumes a search.
///
/// # Errors
/// [`Error::SearchStateGone`] if its state was removed; if it cannot be read, or its settings differ from the present ones.
fn resume(
    run: &RunFolder,
    seed: u64,
    evolution: &SearchConfig,
    problem: &SearchProblem,
) -> Result<Search> {
    let path = run.path(STATE_FILE);
    if !path.is_file()
        && let Some(found) = trace_of_search(run.root())
    {
        return Err(Error::SearchStateGone { path, found });
    }
    let state = saved_state(&path)?;
    let saved = fixed(state.problem(), state.config(), state.seed())?;
    let changes = differences(&saved, &fixed(problem, evolution, seed)?)?;
    if !changes.is_empty() {
        return Err(Error::OtherSettings { path, changes });
    }
    Search::resume(state).map_err(|source| Error::ReadState { path, source })
}

/// Reads the state of a search.
pub(super) fn saved_state(path: &Path) -> Result<SearchState> {
    let bytes = fs_err::read(path)?;
    // A byte that is not UTF-8 is damage like any other.
    let text = String::from_utf8_lossy(&bytes);
    SearchState::from_json(&text).map_err(|source| Error::ReadState {
        path: path.to_owned(),
        source,
    })
}

/// What a search is begun with, for its `run.json`: what must be the same for it to be continued, and what its state does not
/// have. The start is a fingerprint; those of the model and of the seeds follow from the rest.
fn begun_with(
    problem: &SearchProblem,
    inputs: &SearchInputs<'_>,
    init: &[Candidate],
) -> Result<Value> {
    let mut begun = fixed(problem, &inputs.evolution, inputs.calibration.seed)?;
    begun["search.profile"] = json!(inputs.profile);
    let start = serde_json::to_vec(init)?;
    begun["search.init"] = json!((!init.is_empty()).then(|| sha256_hex(&[&start])));
    Ok(begun)
}

/// What must be the same for a search to be continued, besides its inputs.
fn fixed(problem: &SearchProblem, evolution: &SearchConfig, seed: u64) -> Result<Value> {
    let mut fixed = serde_json::to_value(problem)?;
    // Settings that mean the same are the same: states of version 0.1 may have others written.
    fixed["search"] = serde_json::to_value(evolution.clone().canonical())?;
    fixed["seed"] = seed.into();
    Ok(fixed)
}

/// `search/state.json`, relative to the run folder.
pub(super) const STATE_FILE: &str = "search/state.json";
/// Losses of the running generation; see [`Journal`].
const SCORES_FILE: &str = "search/scores.jsonl";
/// Methods measured so far; see [`MethodJournal`].
const METHODS_FILE: &str = "search/methods.jsonl";
