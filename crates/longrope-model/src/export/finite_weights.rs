//! Whether the weights of an export are finite.

use std::collections::HashSet;

use crate::checkpoint::Checkpoint;
use crate::checkpoint::non_finite;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// Refuses weights that are NaN or infinite, or warns about the first if they are allowed.
pub(super) fn check_finite(
    checkpoint: &Checkpoint,
    model: &ModelConfig,
    rewrites: bool,
    allow: bool,
) -> Result<()> {
    let needed: HashSet<String> = model.tensors().into_iter().map(|(name, _)| name).collect();
    // Files are copied with all tensors, but rewritten with those that are needed.
    let is_written = |name: &str| !rewrites || checkpoint.is_nested() || needed.contains(name);
    let Some(found) = non_finite::first_of(checkpoint, is_written)? else {
        return Ok(());
    };
    let found = found.to_string();
    if allow {
        tracing::warn!("exported as it is: {found}");
        return Ok(());
    }
    Err(Error::WeightNotFinite { found })
}
