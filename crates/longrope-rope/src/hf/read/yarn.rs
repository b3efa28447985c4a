//! The rope type `yarn`.

use super::top::Top;
use crate::hf::attention::{attention_policy, same};
use crate::hf::bounds;
use crate::hf::fields::Fields;
use crate::{AttentionScale, Result, RopeScaling, Warning};

/// Reads the scaling. Without `factor`, it is the ratio of the contexts.
pub(super) fn yarn(
    top: &Top,
    fields: &mut Fields,
    original_context: usize,
    warnings: &mut Vec<Warning>,
) -> Result<RopeScaling> {
    let ratio = top.max_context as f64 / original_context as f64;
    let scale = match fields.number("factor", &bounds::GROWTH)? {
        Some(factor) => {
            // A ratio of 1 is usual: many configs keep the original context in `max_position_embeddings`.
            if !same(factor, ratio) && !same(ratio, 1.0) {
                warnings.push(Warning::FactorDisagrees {
                    factor,
                    ratio,
                    used: factor,
                });
            }
            factor
        }
        None if ratio > 1.0 || fields.has("factor") => ratio,
        None => return Err(fields.missing("factor")),
    };
    // 0 means "not given" for these four.
    let given = |number: Option<f64>| number.filter(|number| *number != 0.0);
    let mscale = given(fields.number("mscale", &bounds::NOT_NEGATIVE)?);
    let mscale_all_dim = given(fields.number("mscale_all_dim", &bounds::NOT_NEGATIVE)?);
    let default = AttentionScale::Yarn {};
    let own = fields.number("attention_factor", &bounds::POSITIVE)?;
    let value = match (own, mscale, mscale_all_dim) {
        (Some(value), ..) => value,
        (None, Some(mscale), Some(all)) => {
            let grown = default.value(scale, original_context) - 1.0;
            (1.0 + mscale * grown) / (1.0 + all * grown)
        }
        (None, one, other) => {
            // One without the other has no effect.
            for (key, number) in [("mscale", one), ("mscale_all_dim", other)] {
                if number.is_some() {
                    fields.ignore(key);
                }
            }
            default.value(scale, original_context)
        }
    };
    let beta = |number: Option<f64>, default| given(number).unwrap_or(default);
    // `null` is no `true`.
    let default_truncate = !fields.has("truncate");
    Ok(RopeScaling::Yarn {
        scale,
        beta_fast: beta(fields.number("beta_fast", &bounds::NOT_NEGATIVE)?, 32.0),
        beta_slow: beta(fields.number("beta_slow", &bounds::NOT_NEGATIVE)?, 1.0),
        truncate: fields.boolean("truncate")?.unwrap_or(default_truncate),
        attention: attention_policy(value, default, scale, original_context),
    })
}
