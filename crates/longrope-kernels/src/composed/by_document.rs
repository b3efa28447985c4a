//! Packed documents one at a time, for kernels that know only the causal mask.

use burn::backend::Backend;

use super::ops::Float;
use crate::attention::documents::Documents;

/// Calls `attend` with the queries, keys and values of each document, `[1, heads, rows, head_dim]`, and joins the results. The
/// inputs have as many queries as keys.
#[allow(dead_code, reason = "only GPUs and a test use it")]
pub(crate) fn attend_by_document<B: Backend>(
    inputs: [Float<B>; 3],
    documents: &Documents,
    attend: impl Fn([Float<B>; 3]) -> Float<B>,
) -> Float<B> {
    let rows = (0..documents.batch()).map(|row| {
        let parts = documents.ranges(row).into_iter().map(|range| {
            let part = |x: Float<B>| x.part(0, row..row + 1).part(2, range.clone());
            attend(inputs.clone().map(part))
        });
        Float::cat(parts.collect(), 2)
    });
    Float::cat(rows.collect(), 0)
}
