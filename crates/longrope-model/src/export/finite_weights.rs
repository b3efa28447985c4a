//! Whether the weights of an export are finite.

use std::collections::HashSet;

use super::should_stop::ShouldStop;
use crate::checkpoint::Checkpoint;
use crate::checkpoint::non_finite;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Refuses weights that are NaN or infinite, or warns about the first if they are allowed.
///
/// # Errors
/// [`Error::WeightNotFinite`]; [`Error::Stopped`] if it was asked to stop; a file that cannot be read.
pub(super) fn check_finite(
    checkpoint: &Checkpoint,
    model: &ModelConfig,
    rewrites: bool,
    allow: bool,
    should_stop: ShouldStop<'_>,
) -> Result<()> {
    let needed: HashSet<String> = model.tensors().into_iter().map(|(name, _)| name).collect();
    // Files are copied with all tensors, but rewritten with those that are needed.
    let is_written = |name: &str| !rewrites || checkpoint.is_nested() || needed.contains(name);
    let go_on = || should_stop.check();
    let Some(found) = non_finite::first_of(checkpoint, is_written, go_on)? else {
        return Ok(());
    };
    let found = found.to_string();
    if allow {
        tracing::warn!("exported as it is: {found}");
        return Ok(());
    }
    Err(Error::WeightNotFinite { found })
}
