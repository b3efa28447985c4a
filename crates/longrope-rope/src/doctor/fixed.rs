//! Rules of scalings that are the same for all lengths.

use super::facts::Facts;
use super::view::{Rules, Switch};
use crate::{RopeScaling, RopeSpec};

/// The RoPE of a runtime that computes `scaling`, with dimensions as we read them.
pub(super) fn spec(
    facts: &Facts,
    theta: f64,
    original: usize,
    scaling: RopeScaling,
) -> Result<RopeSpec, String> {
    RopeSpec::new(facts.spec.rotary_dim, theta, original, scaling)
        .map_err(|error| format!("its numbers are not valid: {error}"))
}

/// Rules of one scaling for all lengths.
pub(super) fn fixed(
    facts: &Facts,
    theta: f64,
    original: usize,
    scaling: RopeScaling,
) -> Result<Rules, String> {
    let spec = spec(facts, theta, original, scaling)?;
    Ok(Rules::of(&spec, |_| Switch::Never {}, None))
}

/// Rules of plain RoPE.
pub(super) fn plain(facts: &Facts, theta: f64) -> Result<Rules, String> {
    fixed(facts, theta, facts.max_context, RopeScaling::None {})
}
