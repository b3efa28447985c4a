//! Short and long factors: the two factor sets that a Hugging Face config can hold.

use serde_json::{Map, Value};

use super::attention::{attention_policy, same};
use super::bounds;
use super::family::Family;
use super::fields::Fields;
use super::keys::{FULL, ROPE_PARAMETERS, ROPE_SCALING};
use super::nested::TEXT;
use crate::{
    AttentionScale, Error, FactorSet, RescaleFactors, Result, RopeScaling, RopeSpec, Warning,
};

/// The two contexts of a config, in tokens.
#[derive(Clone, Copy)]
pub(super) struct Contexts {
    pub(super) original: usize,
    pub(super) max: usize,
}

/// The attention scales of short and long factors, where they differ from that of the type.
pub(super) const MSCALES: [&str; 2] = ["short_mscale", "long_mscale"];

/// Removes `short_mscale` and `long_mscale` from a config that [`write_hf_rope`](crate::write_hf_rope) has written.
///
/// transformers does not read them, and warns of them. vLLM and SGLang need them if the attention scale is not that of
/// the type. They stay where the class of the model reads the attention scales from nowhere else.
pub fn remove_mscales(config: &mut Map<String, Value>) {
    let is_read = Family::find(config).is_some_and(|family| family.rules().rope.has_mscales);
    if is_read {
        return;
    }
    if let Some(Value::Object(text)) = config.get_mut(TEXT) {
        remove_mscales(text);
    }
    for section in [ROPE_SCALING, ROPE_PARAMETERS] {
        let Some(Value::Object(keys)) = config.get_mut(section) else {
            continue;
        };
        keys.retain(|key, _| !MSCALES.contains(&key.as_str()));
        if let Some(Value::Object(full)) = keys.get_mut(FULL) {
            full.retain(|key, _| !MSCALES.contains(&key.as_str()));
        }
    }
}

/// Reads `short_factor`, `long_factor` and the keys of the attention scale.
///
/// Sequences above the original context use the long factors, even if `max_position_embeddings` is not above it.
/// `needs_mscales` is for classes that read the attention scales from the [`MSCALES`] only.
pub(super) fn read(
    fields: &mut Fields,
    contexts: Contexts,
    n_pairs: usize,
    needs_mscales: bool,
    warnings: &mut Vec<Warning>,
) -> Result<RopeScaling> {
    let Contexts { original, max } = contexts;
    let short = factors(fields, "short_factor", n_pairs, warnings)?;
    let long = factors(fields, "long_factor", n_pairs, warnings)?;
    let scale = scale(fields, max as f64 / original as f64, warnings)?;
    let set = |max_context, factors| FactorSet {
        max_context,
        start_tokens: 0,
        factors,
        attention: None,
    };
    let long_context = if max > original {
        max
    } else {
        // Equal factors are used at every length.
        if long != short {
            warnings.push(Warning::LongFactorsBeyondMax {
                original_context: original,
                max_context: max,
            });
        }
        grown(original, scale)
    };
    let mut sets = vec![set(original, short), set(long_context, long)];

    let default = AttentionScale::Su {};
    let family = fields
        .number("attention_factor", &bounds::POSITIVE)?
        .unwrap_or_else(|| default.value(scale, original));
    read_mscales(fields, &mut sets, family, needs_mscales, warnings)?;
    let reach = long_context as f64 / original as f64;
    let attention = attention_policy(family, default, reach, original);
    Ok(RopeScaling::LongRope { sets, attention })
}

/// The number `factor`, which is the `ratio` of the contexts if it is not written.
fn scale(fields: &mut Fields, ratio: f64, warnings: &mut Vec<Warning>) -> Result<f64> {
    let factor = fields.number("factor", &bounds::GROWTH)?;
    if let Some(factor) = factor
        && !same(factor, ratio)
        && !same(ratio, 1.0)
    {
        warnings.push(Warning::FactorDisagrees {
            factor,
            ratio,
            used: factor,
        });
    }
    Ok(factor.unwrap_or(ratio))
}

/// Gives the sets the attention scales of their own that are written, where they differ from that of the `family`.
fn read_mscales(
    fields: &mut Fields,
    sets: &mut [FactorSet],
    family: f64,
    needs_mscales: bool,
    warnings: &mut Vec<Warning>,
) -> Result<()> {
    for (key, set) in MSCALES.into_iter().zip(sets) {
        let found = if needs_mscales {
            fields.needed_number(key, &bounds::POSITIVE)?
        } else {
            match fields.number(key, &bounds::POSITIVE)? {
                Some(found) => found,
                None => continue,
            }
        };
        if !same(found, family) {
            if !needs_mscales {
                warnings.push(Warning::MscaleOverrides { key, found, family });
            }
            set.attention = Some(AttentionScale::Constant { value: found });
        }
    }
    Ok(())
}

/// Makes the last factor set that of all lengths.
pub(super) fn use_long_factors(scaling: &mut RopeScaling) {
    if let RopeScaling::LongRope { sets, .. } = scaling
        && let [shorter @ .., long] = sets.as_mut_slice()
    {
        for set in shorter {
            set.factors = long.factors.clone();
            set.attention = long.attention;
        }
    }
}

/// The context that `scale` stands for, above the original one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive product is cut to tokens"
)]
fn grown(original: usize, scale: f64) -> usize {
    ((original as f64 * scale) as usize).max(original + 1)
}

fn factors(
    fields: &mut Fields,
    key: &'static str,
    n_pairs: usize,
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
    if factors.len() != n_pairs {
        return Err(Error::ListLength {
            key: fields.path(key),
            found: factors.len(),
            expected: n_pairs,
        });
    }
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
    sets: &[FactorSet],
    family: AttentionScale,
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
    warn_of_dropped(sets, [Some(long), short], warnings);
    let long_attention = spec.set_attention_scale(long, family);
    let Some(short) = short else {
        return Ok(short_ones(spec, long, long_attention, warnings));
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

/// Warns about the sets that are not kept, and about the start tokens of those that are.
fn warn_of_dropped(sets: &[FactorSet], kept: [Option<&FactorSet>; 2], warnings: &mut Vec<Warning>) {
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
}

/// The long set, with ones for the original context.
fn short_ones(
    spec: &RopeSpec,
    long: &FactorSet,
    attention: f64,
    warnings: &mut Vec<Warning>,
) -> ShortAndLong {
    let ones = RescaleFactors::ones(spec.n_pairs());
    if long.factors != ones {
        warnings.push(Warning::ShortFactorsAreOnes {
            original_context: spec.original_context,
        });
    }
    ShortAndLong {
        short: ones,
        long: long.factors.clone(),
        short_attention: attention,
        long_attention: attention,
    }
}
