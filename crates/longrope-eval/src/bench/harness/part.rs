//! The tasks of the harness that a result stands for, and their metrics.

use crate::bench::kind::Bench;
use crate::bench::prompts::Prompts;
use crate::report::{TaskResult, Trial};

/// A task of the harness: the trials of one subject, or all.
pub(super) struct Part<'a> {
    pub(super) name: String,
    pub(super) subject: Option<String>,
    pub(super) trials: Vec<&'a Trial>,
}

impl Part<'_> {
    /// Scores of a metric, by its index.
    pub(super) fn scores(&self, metric: usize) -> Vec<f64> {
        self.trials
            .iter()
            .map(|trial| trial.scores[metric])
            .collect()
    }
}

/// The tasks of the harness that a result stands for: one per subject.
pub(super) fn parts<'a>(prompts: &Prompts, result: &'a TaskResult) -> Vec<Part<'a>> {
    let bench = prompts.bench();
    let mut parts: Vec<Part<'a>> = Vec::new();
    for trial in &result.trials {
        let question = prompts.questions().get(trial.trial);
        let subject = question.and_then(|question| question.subject.clone());
        let known = parts.iter().position(|part| part.subject == subject);
        let at = known.unwrap_or_else(|| {
            let own = subject.as_deref().map(slug);
            let name = own.map_or_else(
                || bench.harness_name(),
                |own| format!("{}_{own}", bench.harness_name()),
            );
            parts.push(Part {
                name,
                subject,
                trials: Vec::new(),
            });
            parts.len() - 1
        });
        parts[at].trials.push(trial);
    }
    if parts.is_empty() {
        parts.push(Part {
            name: bench.harness_name(),
            subject: None,
            trials: Vec::new(),
        });
    }
    parts
}

/// A subject as part of a name.
fn slug(subject: &str) -> String {
    let lower = subject.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("_")
}

/// The metrics as the harness calls them.
pub(super) fn metric_names(bench: Bench) -> Vec<String> {
    let name = |name: String| match name.as_str() {
        "mc1" | "mc2" => "acc".to_owned(),
        _ => name,
    };
    bench
        .metrics()
        .into_iter()
        .map(|metric| name(metric.name))
        .collect()
}
