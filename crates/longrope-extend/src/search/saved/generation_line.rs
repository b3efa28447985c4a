//! The lines of a search's `metrics.jsonl`, one per generation.

use longrope_search::Generation;
use serde::Serialize;

/// One line of a search's `metrics.jsonl`. An infinite loss, of candidates that failed, is left out.
#[derive(Serialize)]
pub(super) struct Metrics {
    generation: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    best_nats: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    generation_best_nats: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    median_nats: Option<f64>,
    evaluations: usize,
    memo_hits: usize,
    /// Samples that candidates were scored on.
    sample_evaluations: usize,
    /// Candidates that a race ended before they were scored on all samples.
    dropped: usize,
    failures: usize,
}

/// The line of a generation.
pub(super) fn metrics(generation: &Generation) -> Metrics {
    let finite = |nats: f64| Some(nats).filter(|nats| nats.is_finite());
    Metrics {
        generation: generation.index,
        best_nats: finite(generation.best.score),
        generation_best_nats: finite(generation.generation_best),
        median_nats: finite(generation.median),
        evaluations: generation.evaluations,
        memo_hits: generation.memo_hits,
        sample_evaluations: generation.sample_evaluations,
        dropped: generation.dropped,
        failures: generation.failures.len(),
    }
}
