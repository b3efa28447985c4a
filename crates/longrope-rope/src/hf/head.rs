//! The size of the heads of a config.

use serde_json::{Map, Value};

use super::bounds;
use super::family::Family;
use super::fields::Fields;
use super::keys::{HEAD_DIM, HEADS, HIDDEN};
use crate::{Error, Result};

/// The size of one attention head: `head_dim`, else `hidden_size` / `num_attention_heads`, rounded down.
///
/// A known family has defaults for both.
pub(super) fn head_dim(config: &Map<String, Value>) -> Result<usize> {
    let mut top = Fields::new("", config);
    if let Some(head_dim) = top.count(HEAD_DIM, &bounds::HEADS)? {
        return Ok(head_dim);
    }
    let class = Family::find(config).map(|family| &family.rules().defaults);
    if let Some(head_dim) = class.and_then(|class| class.head_dim)
        && !top.has(HEAD_DIM)
    {
        return Ok(head_dim);
    }
    let (hidden, heads) = match class {
        Some(defaults) => (
            top.count_or(HIDDEN, &bounds::WIDTH, defaults.hidden_size)?,
            top.count_or(HEADS, &bounds::HEADS, defaults.n_heads)?,
        ),
        None => (
            top.needed_count(HIDDEN, &bounds::WIDTH)?,
            top.needed_count(HEADS, &bounds::HEADS)?,
        ),
    };
    let is_strict = class.is_some_and(|class| class.whole_heads);
    let has_remainder = is_strict && !hidden.is_multiple_of(heads);
    if hidden < heads || has_remainder {
        return Err(Error::NotDivisible {
            key: HIDDEN,
            found: hidden,
            by: HEADS,
            divisor: heads,
        });
    }
    Ok(hidden / heads)
}

/// `int(head_dim * partial)`, as every runtime computes it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a size is rounded down"
)]
pub(super) fn rotary_dim(head_dim: usize, partial: f64) -> usize {
    (head_dim as f64 * partial) as usize
}
