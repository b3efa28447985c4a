//! A search on a real model: the objective, the loop, the files of the run folder.

use std::time::Instant;

use anyhow::{Context, Result};
use longrope_rope::{Method, Provenance, RopeArtifact, RopeSpec};
use longrope_search::{Generation, Search, StepError, TargetRope, factor_curves};
use serde::{Deserialize, Serialize};

use crate::calibration::Calibration;
use crate::model_objective::ModelObjective;
use crate::models::Models;
use crate::retrieval::{MethodLoss, NamedSpec};
use crate::run_dir::{RunDir, json_lines};
use crate::settings::config::ObjectiveSetting;
use crate::show::plot;
use crate::show::plot::Series;
use crate::show::search_view::SearchView;
use crate::show::{output, progress};
use crate::signals::Interrupt;
use crate::workers::explain;

/// What is known of a search besides its state.
pub(crate) struct SearchSetting<'a> {
    pub(crate) run: &'a RunDir,
    pub(crate) models: &'a Models,
    pub(crate) calibration: &'a Calibration,
    pub(crate) rope: &'a TargetRope,
    pub(crate) profile: &'a str,
    pub(crate) objective: ObjectiveSetting,
    pub(crate) model_fingerprint: String,
    pub(crate) text_fingerprint: String,
    /// Whether to draw a dashboard, if there is a terminal for it.
    pub(crate) tui: bool,
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
    #[serde(default)]
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
    search: Search,
    interrupt: &Interrupt,
) -> Result<SearchResult> {
    // Saved before the first generation, so that a run killed in it can be resumed too.
    save_state(setting.run, &search)?;
    let view = SearchView::open(setting, &search, interrupt)?;
    let objective = ModelObjective::start(setting, interrupt.clone(), view)?;
    run_search_on(setting, search, objective)
}

/// Runs a search against this objective.
pub(crate) fn run_search_on(
    setting: &SearchSetting,
    mut search: Search,
    mut objective: ModelObjective,
) -> Result<SearchResult> {
    let started = Instant::now();
    let mut baselines = Vec::new();
    if objective.view.shows_baselines() {
        baselines = objective
            .measure(setting.calibration, &methods(setting)?)
            .map_err(explain)?;
        objective
            .view
            .set_baselines(&baselines, setting.calibration);
    }
    while !search.is_done() {
        let step = search.step(&mut objective);
        // An interrupted step changes nothing but the scores already known: worth keeping.
        save_state(setting.run, &search)?;
        match step {
            Ok(generation) => {
                objective.view.generation(&search);
                report_generation(&generation);
            }
            Err(StepError::Objective { source, .. }) => {
                objective.view.close();
                return Err(explain(source));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let best = search.best().context("the search scored no candidate")?;
    let winner = setting.rope.candidate_spec(&best.candidate)?;
    let mut to_measure = vec![("searched".to_owned(), winner)];
    if baselines.is_empty() {
        to_measure.extend(methods(setting)?);
    }
    let spinner = progress::spinner("scoring the methods on the same samples");
    let measured = objective.measure(setting.calibration, &to_measure);
    spinner.finish_and_clear();
    objective.view.close();
    let mut measured = measured.map_err(explain)?.into_iter();
    let searched = measured.next().context("the winner was not measured")?;
    baselines.extend(measured);
    finish(setting, &search, searched, baselines, started)
}

/// What a search is compared with.
fn methods(setting: &SearchSetting) -> Result<Vec<NamedSpec>> {
    let (base, target) = (setting.rope.base(), setting.rope.target());
    let named = |method: Method| anyhow::Ok((method.name().to_owned(), method.spec(base, target)?));
    BASELINES.into_iter().map(named).collect()
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
    /// Samples that candidates were scored on.
    sample_evaluations: usize,
    /// Candidates that a race ended before they were scored on all samples.
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
        "generation {}: best {:.4} nats{}, median {:.4}, {} evaluations, {} ended early",
        generation.index,
        generation.best.score,
        if generation.new_best { " (new)" } else { "" },
        generation.median,
        generation.evaluations,
        generation.dropped,
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
    searched: MethodLoss,
    baselines: Vec<MethodLoss>,
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

    let winner = rope.candidate_spec(&best.candidate)?;
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
        token_evaluations_saved: (evaluations * n_samples)
            .saturating_sub(progress.sample_evaluations)
            * context,
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
    setting.run.write("factors.svg", &factor_plot(&winner)?)?;
    setting.run.write(
        "history.svg",
        &history_plot(search, &result, setting.calibration)?,
    )?;
    let mut text = serde_json::to_string_pretty(&result)?;
    text.push('\n');
    setting.run.write("search/result.json", &text)?;
    setting.run.write("rope.json", &artifact.to_json_pretty())?;
    Ok(result)
}

/// The factors by pair, against those of the methods.
fn factor_plot(winner: &RopeSpec) -> Result<String> {
    let curves = factor_curves("searched", winner)?;
    let series = curves.into_iter().enumerate();
    let series: Vec<Series> = series
        .map(|(index, curve)| Series {
            name: curve.name,
            points: curve.points,
            emphasized: index == 0,
        })
        .collect();
    plot::factor_curve(
        &format!(
            "Rescale factors for {} tokens",
            output::grouped(winner.max_context())
        ),
        &series,
    )
}

/// Best and median loss by generation, with the methods as lines.
fn history_plot(
    search: &Search,
    result: &SearchResult,
    calibration: &Calibration,
) -> Result<String> {
    let history = search.state().history();
    let best: Vec<(usize, f64)> = history.iter().map(|g| (g.index, g.best.score)).collect();
    let median: Vec<(usize, f64)> = history.iter().map(|g| (g.index, g.median)).collect();
    let references: Vec<(String, f64)> = result
        .baselines
        .iter()
        .map(|b| (b.method.clone(), calibration.score(b)))
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
