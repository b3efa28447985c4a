//! Short and long factors: the two factor sets that a Hugging Face config can hold.

use super::attention::{attention_policy, same};
use super::fields::Fields;
use super::spelling::{Spelling, Top};
use crate::{
    AttentionScale, Error, FactorSet, RescaleFactors, Result, RopeScaling, RopeSpec, Warning,
};

/// Reads `short_factor`, `long_factor` and the keys of the attention scale.
pub(super) fn read(
    top: &Top,
    spelling: Spelling,
    fields: &mut Fields,
    original_context: usize,
    warnings: &mut Vec<Warning>,
) -> Result<RopeScaling> {
    let max_context = top.max_context;
    let short = factors(fields, "short_factor", warnings)?;
    let long = factors(fields, "long_factor", warnings)?;
    let set = |max_context, factors| FactorSet {
        max_context,
        start_tokens: 0,
        factors,
        attention: None,
    };
    let mut sets = vec![set(original_context, short)];
    if max_context > original_context {
        sets.push(set(max_context, long));
    } else {
        warnings.push(Warning::LongFactorsUnused {
            original_context,
            max_context,
        });
    }

    let ratio = max_context as f64 / original_context as f64;
    let scale = match fields.number("factor")? {
        Some(factor) if !same(factor, ratio) => {
            let ratio_wins = spelling == Spelling::V4 && top.original_context.is_some();
            let used = if ratio_wins { ratio } else { factor };
            warnings.push(Warning::FactorDisagrees {
                factor,
                ratio,
                used,
            });
            used
        }
        _ => ratio,
    };
    let default = AttentionScale::Su {};
    let family = fields
        .number("attention_factor")?
        .unwrap_or_else(|| default.value(scale, original_context));
    for (key, index) in [("short_mscale", 0), ("long_mscale", 1)] {
        let Some(found) = fields.number(key)? else {
            continue;
        };
        if let Some(set) = sets.get_mut(index)
            && !same(found, family)
        {
            warnings.push(Warning::MscaleOverrides { key, found, family });
            set.attention = Some(AttentionScale::Constant { value: found });
        }
    }
    let attention = attention_policy(family, default, ratio.max(1.0), original_context);
    Ok(RopeScaling::LongRope { sets, attention })
}

fn factors(
    fields: &mut Fields,
    key: &'static str,
    warnings: &mut Vec<Warning>,
) -> Result<RescaleFactors> {
    let factors =
        RescaleFactors::new(fields.needed_numbers(key)?).map_err(|error| match error {
            Error::Factor { index, found } => Error::WrongValue {
                key: format!("{}[{index}]", fields.path(key)),
                found: found.into(),
                expected: "a finite number above 0",
            },
            other => other,
        })?;
    if let Some(index) = factors.first_decrease() {
        warnings.push(Warning::NotMonotone { key, index });
    }
    Ok(factors)
}

/// The two factor sets that a config can hold.
pub(super) struct ShortAndLong {
    pub(super) short: RescaleFactors,
    pub(super) long: RescaleFactors,
    pub(super) short_attention: f64,
    pub(super) long_attention: f64,
}

/// Chooses the long set, for `target_context`, and the short one, for the original context.
pub(super) fn degrade(
    spec: &RopeSpec,
    (sets, family): (&[FactorSet], AttentionScale),
    target_context: usize,
    warnings: &mut Vec<Warning>,
) -> Result<ShortAndLong> {
    let index_for = |context| {
        sets.iter()
            .position(|set| set.max_context >= context)
            .unwrap_or(sets.len() - 1)
    };
    if sets.is_empty() {
        return Err(Error::NoSets {});
    }
    let long_index = index_for(target_context);
    let short_index = index_for(spec.original_context);
    let long = &sets[long_index];
    // Within the original context only the short factors are ever used, so the chosen set becomes the short one.
    let short = if target_context <= spec.original_context {
        Some(long)
    } else {
        (short_index < long_index).then(|| &sets[short_index])
    };

    let kept = [Some(long), short];
    let dropped: Vec<usize> = sets
        .iter()
        .filter(|set| !kept.contains(&Some(*set)))
        .map(|set| set.max_context)
        .collect();
    if !dropped.is_empty() {
        warnings.push(Warning::SetsDropped {
            max_contexts: dropped,
        });
    }
    let start_tokens = kept
        .iter()
        .flatten()
        .map(|set| set.start_tokens)
        .max()
        .unwrap_or(0);
    if start_tokens > 0 {
        warnings.push(Warning::StartTokensDropped { start_tokens });
    }
    let long_attention = spec.set_attention_scale(long, family);
    let Some(short) = short else {
        let ones = RescaleFactors::ones(spec.n_pairs());
        if long.factors != ones {
            warnings.push(Warning::ShortFactorsAreOnes {
                original_context: spec.original_context,
            });
        }
        return Ok(ShortAndLong {
            short: ones,
            long: long.factors.clone(),
            short_attention: long_attention,
            long_attention,
        });
    };
    let border_matters = target_context > spec.original_context;
    if border_matters && short.max_context != spec.original_context {
        warnings.push(Warning::BorderMoved {
            from: short.max_context,
            to: spec.original_context,
        });
    }
    let short_attention = spec.set_attention_scale(short, family);
    if !same(short_attention, long_attention) {
        warnings.push(Warning::SetAttentionDropped {
            short: short_attention,
            long: long_attention,
        });
    }
    Ok(ShortAndLong {
        short: short.factors.clone(),
        long: long.factors.clone(),
        short_attention,
        long_attention,
    })
}
