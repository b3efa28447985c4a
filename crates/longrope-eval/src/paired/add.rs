//! Adds differences to a list of results.

use super::{task_difference, window_difference};
use crate::report::{PplResult, TaskResult};

/// Adds to every perplexity its difference to that of the RoPE `reference` at the same context.
///
/// Results without such a partner, and those of the reference itself, get none.
pub fn add_window_differences(results: &mut [PplResult], reference: &str) {
    let is_reference = |result: &PplResult| result.rope == reference;
    compare_with(results, is_reference, |result, references| {
        let mut others = references.iter();
        result.difference = others.find_map(|other| window_difference(result, other).ok());
    });
}

/// As [`add_window_differences`], for results of tasks.
pub fn add_task_differences(results: &mut [TaskResult], reference: &str) {
    let is_reference = |result: &TaskResult| result.rope == reference;
    compare_with(results, is_reference, |result, references| {
        let mut others = references.iter();
        result.difference = others.find_map(|other| task_difference(result, other).ok());
    });
}

/// Calls `compare` with every result that is not of the reference, and with those that are.
fn compare_with<R: Clone>(
    results: &mut [R],
    is_reference: impl Fn(&R) -> bool,
    compare: impl Fn(&mut R, &[R]),
) {
    let references: Vec<R> = results
        .iter()
        .filter(|result| is_reference(result))
        .cloned()
        .collect();
    for result in results.iter_mut().filter(|result| !is_reference(result)) {
        compare(result, &references);
    }
}
