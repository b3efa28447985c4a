//! Adds differences to a list of results.

use super::{task_difference, window_difference};
use crate::report::{PplResult, TaskResult};

/// Adds to every perplexity its difference to that of the RoPE `reference` at the same context.
///
/// Results without such a partner, and those of the reference itself, get none.
pub fn add_window_differences(results: &mut [PplResult], reference: &str) {
    let references: Vec<PplResult> = results
        .iter()
        .filter(|result| result.rope == reference)
        .cloned()
        .collect();
    for result in results.iter_mut().filter(|result| result.rope != reference) {
        result.difference = references
            .iter()
            .find_map(|other| window_difference(result, other).ok());
    }
}

/// As [`add_window_differences`], for results of tasks.
pub fn add_task_differences(results: &mut [TaskResult], reference: &str) {
    let references: Vec<TaskResult> = results
        .iter()
        .filter(|result| result.rope == reference)
        .cloned()
        .collect();
    for result in results.iter_mut().filter(|result| result.rope != reference) {
        result.difference = references
            .iter()
            .find_map(|other| task_difference(result, other).ok());
    }
}
