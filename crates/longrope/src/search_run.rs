//! A search on a real model: the objective, the loop, the files of the run folder.

use std::time::Instant;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use longrope_eval::Scorer;
use longrope_model::Decoder;
use longrope_rope::{Method, Provenance, RopeArtifact, RopeSpec};
use longrope_search::{Generation, Job, Objective, Outcome, Search, SearchProblem, StepError};
use serde::{Deserialize, Serialize};

use crate::calibration::{Calibration, CalibrationSample};
use crate::config::ObjectiveSetting;
use crate::interrupt::{Interrupt, Interrupted};
use crate::plot::{self, Series};
use crate::retrieval::{self, MethodLoss};
use crate::run_dir::{RunDir, json_lines};
use crate::target_rope::TargetRope;
use crate::{output, progress};

/// Scores candidates by the loss of a frozen model on samples of the target length.
pub(crate) struct ModelObjective<'a> {
    scorer: Scorer<'a>,
    rope: &'a TargetRope,
    samples: &'a [CalibrationSample],
    interrupt: Interrupt,
    bar: ProgressBar,
}

/// Why the objective stopped.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ObjectiveError {
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error(transparent)]
    Eval(#[from] longrope_eval::Error),
}

impl<'a> ModelObjective<'a> {
    pub(crate) fn new(setting: &SearchSetting<'a>, interrupt: Interrupt) -> Self {
        Self {
            scorer: Scorer::new(setting.decoder),
            rope: setting.rope,
            samples: &setting.calibration.samples,
            interrupt,
            bar: ProgressBar::hidden(),
        }
    }
}

impl Objective for ModelObjective<'_> {
    type Error = ObjectiveError;

    fn n_samples(&self) -> usize {
        self.samples.len()
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, ObjectiveError> {
        let mut outcomes = Vec::with_capacity(jobs.len());
        for job in jobs {
            if self.interrupt.requested() {
                return Err(Interrupted.into());
            }
            let sample = &self.samples[job.sample];
            outcomes.push(match self.rope.candidate_spec(job.candidate) {
                Ok(spec) => Outcome::Losses(sample.losses(&mut self.scorer, &spec)?),
                Err(error) => Outcome::Failed(error.to_string()),
            });
            self.bar.inc(1);
        }
        Ok(outcomes)
    }
}

/// The search for `target` tokens on this model.
pub(crate) fn problem(decoder: &Decoder, target: usize) -> SearchProblem {
    let rope = &decoder.config().rope;
    SearchProblem {
        rotary_dim: rope.rotary_dim,
        theta: rope.theta,
        original_context: rope.original_context,
        target_context: target,
    }
}

/// What is known of a search besides its state.
pub(crate) struct SearchSetting<'a> {
    pub(crate) run: &'a RunDir,
    pub(crate) decoder: &'a Decoder,
    pub(crate) calibration: &'a Calibration,
    pub(crate) rope: &'a TargetRope,
    pub(crate) profile: &'a str,
    pub(crate) objective: ObjectiveSetting,
    pub(crate) model_fingerprint: String,
    pub(crate) text_fingerprint: String,
}

/// `search/result.json`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct SearchResult {
    pub(crate) format: String,
    pub(crate) version: u32,
    pub(crate) target_context: usize,
    pub(crate) best_nats: f64,
    pub(crate) best_ppl: f64,
    pub(crate) start_tokens: usize,
    pub(crate) attention_scale: f64,
    pub(crate) evaluations: usize,
    pub(crate) token_evaluations: usize,
    /// What racing saved of them.
    pub(crate) token_evaluations_saved: usize,
    pub(crate) failures: usize,
    /// What was minimized, in words.
    pub(crate) objective: String,
    /// The winner on text and needles.
    pub(crate) searched: MethodLoss,
    pub(crate) baselines: Vec<MethodLoss>,
    pub(crate) elapsed_secs: f64,
}

/// What a search is compared with.
const BASELINES: [Method; 5] = [
    Method::None,
    Method::Pi,
    Method::Ntk,
    Method::DynamicNtk,
    Method::Yarn,
];

/// Runs a search to its end, saving after every generation, and writes its results.
pub(crate) fn run_search(
    setting: &SearchSetting,
    mut search: Search,
    interrupt: &Interrupt,
) -> Result<SearchResult> {
    let started = Instant::now();
    let mut objective = ModelObjective::new(setting, interrupt.clone());
    let n_samples = setting.calibration.samples.len() as u64;
    let bar = progress::bar("searching", search.progress().planned as u64 * n_samples);
    let done = search.progress();
    bar.set_position((done.evaluations + done.memo_hits) as u64 * n_samples);
    bar.reset_eta();
    objective.bar = bar.clone();
    // Saved before the first generation, so that a run killed in it can be resumed too.
    save_state(setting.run, &search)?;
    while !search.is_done() {
        let step = search.step(&mut objective);
        // An interrupted step changes nothing but the scores already known: worth keeping.
        save_state(setting.run, &search)?;
        match step {
            Ok(generation) => {
                let done = search.progress();
                bar.set_position((done.evaluations + done.memo_hits) as u64 * n_samples);
                bar.set_message(format!("best {:.4}", generation.best.score));
                report_generation(&generation);
            }
            Err(StepError::Objective {
                source: ObjectiveError::Interrupted(stop),
                ..
            }) => {
                bar.finish_and_clear();
                return Err(stop.into());
            }
            Err(error) => return Err(error.into()),
        }
    }
    bar.finish_and_clear();
    finish(setting, &search, interrupt, started)
}

fn save_state(run: &RunDir, search: &Search) -> Result<()> {
    run.write("search/state.json", &search.state().to_json()?)?;
    run.write(
        "metrics.jsonl",
        &json_lines(search.state().history().iter().map(metrics))?,
    )
}

/// One line of `metrics.jsonl`.
#[derive(Serialize)]
struct Metrics {
    generation: usize,
    best_nats: f64,
    generation_best_nats: f64,
    median_nats: f64,
    evaluations: usize,
    memo_hits: usize,
    sample_evaluations: usize,
    dropped: usize,
    failures: usize,
}

fn metrics(generation: &Generation) -> Metrics {
    Metrics {
        generation: generation.index,
        best_nats: generation.best.score,
        generation_best_nats: generation.generation_best,
        median_nats: generation.median,
        evaluations: generation.evaluations,
        memo_hits: generation.memo_hits,
        sample_evaluations: generation.sample_evaluations,
        dropped: generation.dropped,
        failures: generation.failures.len(),
    }
}

fn report_generation(generation: &Generation) {
    tracing::info!(
        "generation {}: best {:.4} nats{}, median {:.4}, {} evaluations",
        generation.index,
        generation.best.score,
        if generation.new_best { " (new)" } else { "" },
        generation.median,
        generation.evaluations,
    );
    for failure in &generation.failures {
        tracing::warn!(
            "a candidate failed on sample {}: {}",
            failure.sample,
            failure.reason
        );
    }
}

/// Writes the artefact, the result and the plots.
fn finish(
    setting: &SearchSetting,
    search: &Search,
    interrupt: &Interrupt,
    started: Instant,
) -> Result<SearchResult> {
    let best = search.best().context("the search scored no candidate")?;
    let (rope, target) = (setting.rope, setting.rope.target());
    let progress = search.progress();
    let evaluations = progress.evaluations;
    let spec = rope.artifact_spec(&best.candidate)?;
    let provenance = Provenance {
        tool_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        model_fingerprint: Some(setting.model_fingerprint.clone()),
        text_fingerprint: Some(setting.text_fingerprint.clone()),
        seed: Some(search.state().seed()),
        profile: Some(setting.profile.to_owned()),
        objective: Some(setting.objective.description().to_owned()),
        score_nats: Some(best.score),
        evaluations: Some(evaluations as u64),
        target_context: Some(target),
    };
    let artifact = RopeArtifact::from_spec(&spec, provenance);

    let spinner = progress::spinner("scoring the methods on the same samples");
    let measure = |name: &str, spec: &RopeSpec| {
        retrieval::measure(name, setting.decoder, spec, setting.calibration, interrupt)
    };
    let winner = rope.candidate_spec(&best.candidate)?;
    let searched = measure("searched", &winner)?;
    let baselines = BASELINES
        .into_iter()
        .map(|method| measure(method.name(), &method.spec(rope.base(), target)?))
        .collect::<Result<Vec<MethodLoss>>>()?;
    spinner.finish_and_clear();

    let n_samples = setting.calibration.samples.len();
    let context = setting.calibration.context();
    let result = SearchResult {
        format: "longrope-search-result".to_owned(),
        version: 1,
        target_context: target,
        best_nats: best.score,
        best_ppl: best.score.exp(),
        start_tokens: best.candidate.start_tokens,
        attention_scale: winner.resolve(target).attention_scale(),
        evaluations,
        token_evaluations: progress.sample_evaluations * context,
        token_evaluations_saved: (evaluations * n_samples - progress.sample_evaluations) * context,
        objective: setting.objective.description().to_owned(),
        searched,
        failures: search
            .state()
            .history()
            .iter()
            .map(|g| g.failures.len())
            .sum(),
        baselines,
        elapsed_secs: started.elapsed().as_secs_f64(),
    };
    setting
        .run
        .write("factors.svg", &factor_plot(rope, &winner)?)?;
    setting.run.write(
        "history.svg",
        &history_plot(search, &result, setting.objective)?,
    )?;
    let mut text = serde_json::to_string_pretty(&result)?;
    text.push('\n');
    setting.run.write("search/result.json", &text)?;
    setting.run.write("rope.json", &artifact.to_json_pretty())?;
    Ok(result)
}

/// The factors by pair, against those of the methods.
fn factor_plot(rope: &TargetRope, winner: &RopeSpec) -> Result<String> {
    let (base, target) = (rope.base(), rope.target());
    let curve = |spec: &RopeSpec| -> Vec<(f64, f64)> {
        let (plain, scaled) = (base.resolve(target), spec.resolve(target));
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        pairs
            .enumerate()
            .map(|(i, (plain, scaled))| (i as f64, plain / scaled))
            .collect()
    };
    let mut series = vec![Series {
        name: "searched",
        points: curve(winner),
        emphasized: true,
    }];
    for method in [Method::Pi, Method::Ntk, Method::Yarn] {
        let points = curve(&method.spec(base, target)?);
        series.push(Series {
            name: method.name(),
            points,
            emphasized: false,
        });
    }
    plot::factor_curve(
        &format!("Rescale factors for {} tokens", output::grouped(target)),
        &series,
    )
}

/// Best and median loss by generation, with the methods as lines.
fn history_plot(
    search: &Search,
    result: &SearchResult,
    objective: ObjectiveSetting,
) -> Result<String> {
    let history = search.state().history();
    let best: Vec<(usize, f64)> = history.iter().map(|g| (g.index, g.best.score)).collect();
    let median: Vec<(usize, f64)> = history.iter().map(|g| (g.index, g.median)).collect();
    // What the methods have of the very loss that was minimized.
    let loss = |method: &MethodLoss| match objective {
        ObjectiveSetting::Perplexity => Some(method.nll_nats),
        ObjectiveSetting::Needle => method.answer_nats,
        ObjectiveSetting::Combined => None,
    };
    let references: Vec<(String, f64)> = result
        .baselines
        .iter()
        .filter_map(|b| Some((b.method.clone(), loss(b)?)))
        .collect();
    plot::loss_history(
        "Loss of the search by generation",
        &best,
        &median,
        &references,
    )
}

/// The table at the end: the winner, then every method and what was gained over it.
pub(crate) fn result_table(result: &SearchResult) -> String {
    let rows: Vec<&MethodLoss> = std::iter::once(&result.searched)
        .chain(&result.baselines)
        .collect();
    let has_answers = rows.iter().any(|row| row.answer_nats.is_some());
    let has_passkeys = rows.iter().any(|row| row.passkey_accuracy.is_some());
    let mut header = vec!["rope", "nats/token", "perplexity", "gain (nats)"];
    if has_answers {
        header.push("answer perplexity");
    }
    if has_passkeys {
        header.push("passkeys found");
    }
    let header: Vec<String> = header.into_iter().map(str::to_owned).collect();
    let cells = |row: &MethodLoss| {
        let gain = row.nll_nats - result.searched.nll_nats;
        let mut cells = vec![
            row.method.clone(),
            format!("{:.4}", row.nll_nats),
            output::perplexity(row.nll_nats.exp()),
            if *row == result.searched {
                String::new()
            } else {
                format!("{gain:+.4}")
            },
        ];
        if has_answers {
            let nats = row.answer_nats.map(f64::exp);
            cells.push(nats.map_or_else(String::new, output::perplexity));
        }
        if has_passkeys {
            let share = row.passkey_accuracy;
            cells.push(share.map_or_else(String::new, |share| format!("{:.0}%", 100.0 * share)));
        }
        cells
    };
    let rows: Vec<Vec<String>> = rows.into_iter().map(cells).collect();
    output::table(&header, &rows)
}
