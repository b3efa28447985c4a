//! Explains numbers that are not finite by the weights of the model.

use anyhow::Error;
use longrope_model::first_non_finite;

use crate::failure;
use crate::input::model;

/// If the error is about a number that is not finite, names the first weight of the model that is not finite either.
pub(super) fn explain(error: Error) -> Error {
    if !failure::is_not_finite(&error) {
        return error;
    }
    let found = model::last_loaded().map(|folder| first_non_finite(&folder));
    match found {
        Some(Ok(Some(weight))) => error.context(weight.to_string()),
        // The model can be read no more, or is finite: the error stands for itself.
        _ => error,
    }
}
