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

/// The share of a head that is rotated, as a `config.json` states it: such that `int(head_dim * share)`, which programs
/// compute, is `rotary` dimensions.
pub fn rotated_share(head_dim: usize, rotary: usize) -> f64 {
    let exact = rotary as f64 / head_dim as f64;
    if rotary_dim(head_dim, exact) == rotary {
        exact
    } else {
        // The quotient was rounded to just below the whole number. Half a dimension more is truncated again.
        (rotary as f64 + 0.5) / head_dim as f64
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_gives_the_dimensions_that_it_is_made_of() {
        let mut n_rounded = 0;
        for head_dim in 1..=256 {
            for rotary in 0..=head_dim {
                let share = rotated_share(head_dim, rotary);
                assert_eq!(
                    rotary_dim(head_dim, share),
                    rotary,
                    "{rotary} of {head_dim}"
                );
                let quotient = rotary as f64 / head_dim as f64;
                n_rounded += usize::from(rotary_dim(head_dim, quotient) != rotary);
            }
        }
        assert!(n_rounded > 0, "the quotient is not enough");
    }
}
