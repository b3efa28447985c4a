//! A search on a real model: the objective, the loop, the files of the run folder.

use std::time::Instant;

use anyhow::{Context, Result};
use longrope_data::Sample;
use longrope_model::Decoder;
use longrope_rope::{
    FactorSet, Method, Provenance, RescaleFactors, RopeArtifact, RopeScaling, RopeSpec,
};
use longrope_search::{Candidate, Generation, Search, SearchProblem, StepError};
use serde::{Deserialize, Serialize};

use crate::interrupt::Interrupt;
use crate::model_objective::ModelObjective;
use crate::models::Models;
use crate::plot::{self, Series};
use crate::run_dir::{RunDir, json_lines};
use crate::search_view::SearchView;
use crate::workers::explain;
use crate::{output, progress};

/// The RoPE that a candidate stands for: one factor set for the target context.
pub(crate) fn candidate_spec(
    base: &RopeSpec,
    target: usize,
    candidate: &Candidate,
) -> longrope_rope::Result<RopeSpec> {
    let set = FactorSet {
        max_context: target,
        start_tokens: candidate.start_tokens,
        factors: RescaleFactors::new(candidate.factors())?,
        attention: None,
    };
    let scaling = RopeScaling::LongRope {
        sets: vec![set],
        attention: candidate.attention,
    };
    RopeSpec {
        scaling,
        ..base.plain()
    }
    .validated()
}

/// The RoPE as it is saved: the searched set, and unscaled factors up to the original context, so
/// that short texts are not paid for with long ones' factors.
fn artifact_spec(base: &RopeSpec, target: usize, candidate: &Candidate) -> Result<RopeSpec> {
    let mut spec = candidate_spec(base, target, candidate)?;
    if target > base.original_context
        && let RopeScaling::LongRope { sets, .. } = &mut spec.scaling
    {
        let plain = FactorSet {
            max_context: base.original_context,
            start_tokens: 0,
            factors: RescaleFactors::ones(base.n_pairs()),
            attention: Some(longrope_rope::AttentionScale::None {}),
        };
        sets.insert(0, plain);
    }
    Ok(spec.validated()?)
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
    pub(crate) models: &'a Models,
    pub(crate) samples: &'a [Sample],
    pub(crate) target: usize,
    pub(crate) profile: &'a str,
    pub(crate) model_fingerprint: String,
    pub(crate) text_fingerprint: String,
    /// Whether to draw a dashboard, if there is a terminal for it.
    pub(crate) tui: bool,
}

impl SearchSetting<'_> {
    /// The RoPE that is rescaled.
    pub(crate) fn base(&self) -> RopeSpec {
        self.models.decoder().config().rope.plain()
    }
}

/// What a search is compared with.
const BASELINES: [Method; 5] = [
    Method::None,
    Method::Pi,
    Method::Ntk,
    Method::DynamicNtk,
    Method::Yarn,
];

/// A method and its loss on the samples of a search.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MethodLoss {
    pub(crate) method: String,
    pub(crate) nll_nats: f64,
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
    pub(crate) failures: usize,
    pub(crate) baselines: Vec<MethodLoss>,
    pub(crate) elapsed_secs: f64,
}

/// Runs a search to its end, saving after every generation, and writes its results.
pub(crate) fn run_search(
    setting: &SearchSetting,
    search: Search,
    interrupt: &Interrupt,
) -> Result<SearchResult> {
    // Saved before the first generation, so that a run killed in it can be resumed too.
    save_state(setting.run, &search)?;
    let view = SearchView::open(setting, &search, interrupt)?;
    let objective = ModelObjective::start(
        setting.models,
        setting.samples,
        setting.target,
        interrupt.clone(),
        view,
    )?;
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
        baselines = method_losses(setting, &mut objective)?;
        objective.view.set_baselines(&baselines);
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
    if baselines.is_empty() {
        let spinner = progress::spinner("scoring the methods on the same samples");
        baselines = method_losses(setting, &mut objective)?;
        spinner.finish_and_clear();
    }
    objective.view.close();
    finish(setting, &search, baselines, started)
}

/// The loss of each method on the samples of the search.
fn method_losses(
    setting: &SearchSetting,
    objective: &mut ModelObjective,
) -> Result<Vec<MethodLoss>> {
    let base = setting.base();
    let specs = BASELINES.map(|method| method.spec(&base, setting.target));
    let specs = specs.into_iter().collect::<Result<Vec<_>, _>>()?;
    let losses = objective.mean_losses(&specs).map_err(explain)?;
    let method_loss = |(method, nll_nats): (Method, f64)| MethodLoss {
        method: method.name().to_owned(),
        nll_nats,
    };
    Ok(BASELINES.into_iter().zip(losses).map(method_loss).collect())
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
    /// Samples that candidates were scored on.
    sample_evaluations: usize,
    /// Candidates that a race ended before they were scored on all samples.
    dropped: usize,
    memo_hits: usize,
    failures: usize,
}

fn metrics(generation: &Generation) -> Metrics {
    Metrics {
        generation: generation.index,
        best_nats: generation.best.score,
        generation_best_nats: generation.generation_best,
        median_nats: generation.median,
        evaluations: generation.evaluations,
        sample_evaluations: generation.sample_evaluations,
        dropped: generation.dropped,
        memo_hits: generation.memo_hits,
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
    baselines: Vec<MethodLoss>,
    started: Instant,
) -> Result<SearchResult> {
    let best = search.best().context("the search scored no candidate")?;
    let base = setting.base();
    let evaluations = search.progress().evaluations;
    let spec = artifact_spec(&base, setting.target, &best.candidate)?;
    let provenance = Provenance {
        tool_version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        model_fingerprint: Some(setting.model_fingerprint.clone()),
        text_fingerprint: Some(setting.text_fingerprint.clone()),
        seed: Some(search.state().seed()),
        profile: Some(setting.profile.to_owned()),
        objective: Some("mean loss per token".to_owned()),
        score_nats: Some(best.score),
        evaluations: Some(evaluations as u64),
        target_context: Some(setting.target),
    };
    let artifact = RopeArtifact::from_spec(&spec, provenance);

    let result = SearchResult {
        format: "longrope-search-result".to_owned(),
        version: 1,
        target_context: setting.target,
        best_nats: best.score,
        best_ppl: best.score.exp(),
        start_tokens: best.candidate.start_tokens,
        attention_scale: candidate_spec(&base, setting.target, &best.candidate)?
            .resolve(setting.target)
            .attention_scale(),
        evaluations,
        token_evaluations: search.progress().sample_evaluations * setting.target,
        failures: search
            .state()
            .history()
            .iter()
            .map(|g| g.failures.len())
            .sum(),
        baselines,
        elapsed_secs: started.elapsed().as_secs_f64(),
    };
    setting.run.write(
        "factors.svg",
        &factor_plot(&base, setting.target, &best.candidate)?,
    )?;
    setting
        .run
        .write("history.svg", &history_plot(search, &result)?)?;
    let mut text = serde_json::to_string_pretty(&result)?;
    text.push('\n');
    setting.run.write("search/result.json", &text)?;
    setting.run.write("rope.json", &artifact.to_json_pretty())?;
    Ok(result)
}

/// The factors by pair, against those of the methods.
fn factor_plot(base: &RopeSpec, target: usize, candidate: &Candidate) -> Result<String> {
    let curves = factor_curves(base, target, candidate)?;
    let series = curves.into_iter().enumerate();
    let series: Vec<Series> = series
        .map(|(index, (name, points))| Series {
            name,
            points,
            emphasized: index == 0,
        })
        .collect();
    plot::factor_curve(
        &format!("Rescale factors for {} tokens", output::grouped(target)),
        &series,
    )
}

/// A name and (pair, factor) of every rotary pair.
pub(crate) type FactorCurve = (&'static str, Vec<(f64, f64)>);

/// The factors of a candidate, then those of the methods.
pub(crate) fn factor_curves(
    base: &RopeSpec,
    target: usize,
    candidate: &Candidate,
) -> Result<Vec<FactorCurve>> {
    let curve = |spec: &RopeSpec| -> Vec<(f64, f64)> {
        let (plain, scaled) = (base.resolve(target), spec.resolve(target));
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        pairs
            .enumerate()
            .map(|(i, (plain, scaled))| (i as f64, plain / scaled))
            .collect()
    };
    let searched = candidate_spec(base, target, candidate)?;
    let mut curves = vec![("searched", curve(&searched))];
    for method in [Method::Pi, Method::Ntk, Method::Yarn] {
        curves.push((method.name(), curve(&method.spec(base, target)?)));
    }
    Ok(curves)
}

/// Best and median loss by generation, with the methods as lines.
fn history_plot(search: &Search, result: &SearchResult) -> Result<String> {
    let history = search.state().history();
    let best: Vec<(usize, f64)> = history.iter().map(|g| (g.index, g.best.score)).collect();
    let median: Vec<(usize, f64)> = history.iter().map(|g| (g.index, g.median)).collect();
    let references: Vec<(String, f64)> = result
        .baselines
        .iter()
        .map(|b| (b.method.clone(), b.nll_nats))
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
    let header = ["rope", "nats/token", "perplexity", "gain (nats)"].map(str::to_owned);
    let mut rows = vec![vec![
        "searched".to_owned(),
        format!("{:.4}", result.best_nats),
        output::perplexity(result.best_ppl),
        String::new(),
    ]];
    for baseline in &result.baselines {
        rows.push(vec![
            baseline.method.clone(),
            format!("{:.4}", baseline.nll_nats),
            output::perplexity(baseline.nll_nats.exp()),
            format!("{:+.4}", baseline.nll_nats - result.best_nats),
        ]);
    }
    output::table(&header, &rows)
}
