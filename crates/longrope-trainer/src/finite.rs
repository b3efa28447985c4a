//! Weights that are not finite are not saved: nothing could be resumed from them or done with them.

use std::path::Path;

use longrope_model::{first_non_finite, first_non_finite_in};

use crate::error::{Error, Result};

/// Checks the weights in a file that was written after step `step` of the training of the model in `base`.
///
/// A model may have such weights where nothing reads them. A tensor that had one before the training may keep it.
///
/// # Errors
/// [`Error::WeightNotFinite`] for the first weight that is NaN or infinite; if a file cannot be read.
pub(crate) fn check_weights(file: &Path, base: &Path, step: usize) -> Result<()> {
    let Some(found) = first_non_finite_in(file)? else {
        return Ok(());
    };
    // In files of adapters, names have a prefix.
    let had_one =
        first_non_finite(base)?.is_some_and(|known| found.tensor.ends_with(&known.tensor));
    if had_one {
        return Ok(());
    }
    Err(Error::WeightNotFinite {
        step,
        tensor: found.tensor,
        index: found.index,
        value: found.value,
    })
}
