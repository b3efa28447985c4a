//! NVIDIA's metrics and averages.

use serde::Serialize;

use crate::report::TaskResult;

/// The share of `answers` that the continuation contains, ignoring case.
pub fn string_match_all(continuation: &str, answers: &[String]) -> f64 {
    let continuation = continuation.to_lowercase();
    let n_found = answers
        .iter()
        .filter(|answer| continuation.contains(&answer.to_lowercase()))
        .count();
    n_found as f64 / answers.len() as f64
}

/// 1 if the continuation contains any of `answers`, ignoring case; otherwise 0.
pub fn string_match_part(continuation: &str, answers: &[String]) -> f64 {
    f64::from(u8::from(string_match_all(continuation, answers) > 0.0))
}

/// The names of the tasks that have a result at each of the contexts, in the order of their first results.
pub(crate) fn tasks_at_all<'a>(results: &[&'a TaskResult], contexts: &[usize]) -> Vec<&'a str> {
    let has = |task: &str, context: usize| {
        results
            .iter()
            .any(|it| it.task == task && it.context == context)
    };
    let mut found: Vec<&'a str> = Vec::new();
    for &result in results {
        let task = result.task.as_str();
        if !found.contains(&task) && contexts.iter().all(|context| has(task, *context)) {
            found.push(task);
        }
    }
    found
}

/// Averages as in RULER's table, for one RoPE, in percent.
///
/// They are over the tasks that were measured at every context: long contexts have room for more tasks than short ones,
/// and means over other tasks cannot be compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RulerAverages {
    /// Name of the RoPE.
    pub rope: String,
    /// Names of the tasks, as in the results.
    pub tasks: Vec<String>,
    /// Contexts in ascending order, and the mean over the tasks of each.
    pub by_context: Vec<(usize, f64)>,
    /// Mean over the contexts.
    pub mean: f64,
    /// Mean with weights 1, 2, 3, ... from the shortest context to the longest.
    pub weighted_inc: f64,
    /// Mean with weights ..., 3, 2, 1 from the shortest context to the longest.
    pub weighted_dec: f64,
}

impl RulerAverages {
    /// Averages the results of one RoPE; `None` if no task has a result at every context.
    pub fn of(rope: &str, results: &[TaskResult]) -> Option<Self> {
        let own: Vec<&TaskResult> = results
            .iter()
            .filter(|result| result.rope == rope && result.task.starts_with("ruler/"))
            .collect();
        let mut contexts: Vec<usize> = own.iter().map(|result| result.context).collect();
        contexts.sort_unstable();
        contexts.dedup();
        let tasks = tasks_at_all(&own, &contexts);
        if tasks.is_empty() {
            return None;
        }
        let own: Vec<&TaskResult> = own
            .into_iter()
            .filter(|result| tasks.contains(&result.task.as_str()))
            .collect();
        let by_context: Vec<(usize, f64)> = contexts
            .into_iter()
            .map(|context| {
                let here = own.iter().filter(|result| result.context == context);
                let scores: Vec<f64> = here.map(|result| 100.0 * result.metric.value).collect();
                (context, crate::stats::mean(&scores))
            })
            .collect();
        let n = by_context.len();
        let weighted = |weight: &dyn Fn(usize) -> f64| {
            let total: f64 = (0..n).map(weight).sum();
            let sum: f64 = (0..n).map(|i| weight(i) * by_context[i].1).sum();
            sum / total
        };
        let (mean, weighted_inc, weighted_dec) = (
            weighted(&|_| 1.0),
            weighted(&|i| (i + 1) as f64),
            weighted(&|i| (n - i) as f64),
        );
        Some(Self {
            rope: rope.to_owned(),
            tasks: tasks.into_iter().map(str::to_owned).collect(),
            by_context,
            mean,
            weighted_inc,
            weighted_dec,
        })
    }
}
