//! Explains numbers that are not finite by the weights of the model.

use std::path::Path;

use anyhow::Error;
use longrope_model::first_non_finite;

use crate::failure;

/// If the error is about a number that is not finite, names the first weight of the model in the folder that is not finite
/// either.
pub(super) fn explain(error: Error, model: Option<&Path>) -> Error {
    if !failure::is_not_finite(&error) {
        return error;
    }
    match model.map(first_non_finite) {
        Some(Ok(Some(weight))) => error.context(weight.to_string()),
        // The model can be read no more, or is finite: the error stands for itself.
        _ => error,
    }
}
