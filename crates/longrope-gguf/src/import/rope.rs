//! Keys and tensors of the RoPE to those of a `config.json`.

use longrope_rope::AttentionScale;
use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use crate::error::Result;
use crate::model::Architecture;

/// What llama.cpp takes for the base of frequencies if a file states none.
const DEFAULT_THETA: f64 = 10_000.0;
/// More pairs than a head has.
const MAX_PAIRS: usize = 1 << 16;

/// The number of rotated dimensions of a head: all of them, except in Phi-3. Configs of the other families have no key for
/// fewer.
pub(super) fn rotary_dim(
    fields: &Fields,
    architecture: Architecture,
    head_dim: u64,
) -> Result<u64> {
    const KEY: &str = "rope.dimension_count";
    if architecture == Architecture::Phi3 || fields.get(KEY).is_none() {
        return fields.count_or(KEY, head_dim);
    }
    let expected = "the width of a head: a rotated part of it is read for phi3 only";
    fields.needed(KEY, expected, |value| {
        value.as_u64().filter(|width| *width == head_dim)
    })
}

/// Adds the RoPE that llama.cpp computes. In a model with windows, it is that of the layers without one; the others have the
/// same base, and no scaling.
pub(super) fn add_rope(
    keys: &mut Map<String, Json>,
    fields: &Fields,
    architecture: Architecture,
    rotary_dim: u64,
    has_windows: bool,
) -> Result<()> {
    let theta = theta(fields)?;
    keys.insert("rope_theta".to_owned(), json!(theta));
    let context = fields.count("context_length")?;
    let original = original_context(fields, context)?;
    let section = section(fields, architecture, original, rotary_dim)?;
    // A class may have a default of its own for it, which would count before that of the section.
    let has_own = |section: &Json| section["rope_type"] != "linear" || original != context;
    if section.as_ref().is_some_and(has_own) {
        let key = "original_max_position_embeddings".to_owned();
        keys.insert(key, original.into());
    }
    if has_windows {
        let plain = json!({ "rope_type": "default", "rope_theta": theta });
        let mut full = section.unwrap_or_else(|| plain.clone());
        full["rope_theta"] = json!(theta);
        let parts = json!({ "full_attention": full, "sliding_attention": plain });
        keys.insert("rope_parameters".to_owned(), parts);
    } else if let Some(section) = section {
        keys.insert("rope_scaling".to_owned(), section);
    }
    Ok(())
}

/// The base of the frequencies.
pub(super) fn theta(fields: &Fields) -> Result<f64> {
    fields.number_or("rope.freq_base", DEFAULT_THETA)
}

/// The context before the extension. llama.cpp takes 0 as not stated.
fn original_context(fields: &Fields, context: u64) -> Result<u64> {
    let stated = fields.count_or("rope.scaling.original_context_length", context)?;
    Ok(if stated == 0 { context } else { stated })
}

/// The scaling, if there is one.
///
/// A file without a type scales positions linearly. The scale divides positions whatever the type is, beside factor tensors
/// too, unless the type is `none`. Factor tensors count whatever the type is, if the architecture reads them; `rope_freqs`
/// holds factors for all lengths.
///
/// # Reference
/// `load_hparams` and the constructor of `llama_context` in llama.cpp.
fn section(
    fields: &Fields,
    architecture: Architecture,
    original: u64,
    rotary_dim: u64,
) -> Result<Option<Json>> {
    let scaling = scaling_type(fields)?;
    let scale = match scaling {
        "none" => 1.0,
        _ => position_scale(fields)?,
    };
    let attention = fields.number_or("rope.scaling.attn_factor", 1.0)?;
    let long_rope = |short: &[f64], long: &[f64]| {
        let scaled =
            |factors: &[f64]| -> Vec<f64> { factors.iter().map(|it| it * scale).collect() };
        json!({
            "rope_type": "longrope",
            "short_factor": scaled(short),
            "long_factor": scaled(long),
            "original_max_position_embeddings": original,
            "attention_factor": attention,
        })
    };
    let factors = factor_tensors(fields, architecture)?;
    Ok(match (factors, scaling) {
        (Some(_), "yarn") => {
            return Err(fields.model_error(
                "it has factors of frequencies beside the scaling `yarn`, which are not read together"
                    .to_owned(),
            ));
        }
        (Some((short, long)), _) => Some(long_rope(&short, &long)),
        (None, "yarn") => Some(json!({
            "rope_type": "yarn",
            "factor": scale,
            "original_max_position_embeddings": original,
            // llama.cpp multiplies by it beside its own rule.
            "attention_factor": attention * AttentionScale::Yarn {}.value(scale, 2),
        })),
        (None, _) if is_not_one(attention) => {
            let n_pairs = usize::try_from(rotary_dim / 2).unwrap_or(MAX_PAIRS);
            let ones = vec![1.0; n_pairs.min(MAX_PAIRS)];
            Some(long_rope(&ones, &ones))
        }
        (None, _) if is_not_one(scale) => Some(json!({ "rope_type": "linear", "factor": scale })),
        (None, _) => None,
    })
}

fn is_not_one(number: f64) -> bool {
    (number - 1.0).abs() > 0.0
}

/// The type of scaling; llama.cpp ends with an assertion at others than these.
fn scaling_type<'a>(fields: &Fields<'a>) -> Result<&'a str> {
    const KEY: &str = "rope.scaling.type";
    if fields.get(KEY).is_none() {
        return Ok("linear");
    }
    fields.needed(KEY, "none, linear, yarn or longrope", |value| {
        let known = |name: &&str| ["none", "linear", "yarn", "longrope"].contains(name);
        value.as_str().filter(known)
    })
}

/// What positions are divided by. llama.cpp takes 0 as not stated.
fn position_scale(fields: &Fields) -> Result<f64> {
    let key = if fields.get("rope.scaling.factor").is_some() {
        "rope.scaling.factor"
    } else {
        // Its name in older files.
        "rope.scale_linear"
    };
    let scale = fields.number_or(key, 1.0)?;
    Ok(if scale.abs() > 0.0 { scale } else { 1.0 })
}

/// The short and the long factors, if the file has some.
fn factor_tensors(
    fields: &Fields,
    architecture: Architecture,
) -> Result<Option<(Vec<f64>, Vec<f64>)>> {
    let read = |name: &str| -> Result<Option<Vec<f64>>> {
        if !fields.file.tensors().contains_key(name) {
            return Ok(None);
        }
        if !architecture.takes_factors() {
            return Err(fields.model_error(format!(
                "tensor `{name}` has factors of frequencies, which llama.cpp does not load for its architecture `{}`",
                architecture.name()
            )));
        }
        let factors = fields.file.read(name)?;
        Ok(Some(factors.into_iter().map(f64::from).collect()))
    };
    let all = read("rope_freqs.weight")?;
    let long = read("rope_factors_long.weight")?.or_else(|| all.clone());
    let short = read("rope_factors_short.weight")?.or(all);
    match (short, long) {
        (Some(short), Some(long)) => Ok(Some((short, long))),
        (None, None) => Ok(None),
        _ => Err(fields.model_error(
            "it has only one of the tensors rope_factors_long and rope_factors_short".to_owned(),
        )),
    }
}
