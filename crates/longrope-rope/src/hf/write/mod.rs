//! Rope spec to `config.json`, in both spellings at once.

mod factors;
mod section;
mod written;

pub use written::hf_rope_keys;

use serde_json::{Map, Value, json};

use self::factors::as_long_rope;
use self::section::{WrittenSection, section};
use super::attention::same;
use super::family::{ByLayerType, Family, RopeRules};
use super::head::{head_dim, rotary_dim, rotated_share};
use super::keys::{
    FULL, HEAD_DIM, LENGTHS, MAX_POSITION, MODEL_TYPE, ORIGINAL_POSITION, PARTIAL, ROPE_PARAMETERS,
    ROPE_SCALING, SLIDING, THETA,
};
use super::long_rope::MSCALES;
use super::nested::{TEXT, is_nested, language_model};
use super::read::read_hf_rope;
use crate::{Error, Result, RopeScaling, RopeSpec, Warning};

/// Writes `spec` into a Hugging Face model config, for a context of `target_context` tokens.
///
/// Sets `max_position_embeddings`, `original_max_position_embeddings`, `rope_theta`, `partial_rotary_factor`,
/// `rope_scaling` and `rope_parameters`, so that transformers 4 and 5 compute the same. Other keys for the length of a context,
/// such as `max_sequence_length`, are raised to it. A config holds two factor sets:
/// `long_factor` becomes the set for `target_context` and `short_factor` the one for the original context (all ones if
/// there is no smaller set). The attention scale is always written as a number, and also as `short_mscale` and
/// `long_mscale` where it is not the default, because not every runtime reads the same key.
///
/// Some classes, such as that of Phi-3, load only the type longrope: other scalings are written as equal short and long
/// factors, and `rope_scaling` has just the three keys that transformers 4 accepts there, unless the attention scale needs
/// more.
///
/// No rotation is written as factors so large that transformers computes cosines of 1, and sines too small to matter. A
/// larger base is written as `rope_theta`.
///
/// Returns warnings about everything that the config cannot express.
///
/// # Errors
/// [`Error::MissingKey`] if the size of a head is not in the config, [`Error::Disagree`] if `rotary_dim` does not fit it,
/// [`Error::NotWritable`], [`Error::NoConfigKey`], and the errors of [`RopeSpec::validate`].
pub fn write_hf_rope(
    config: &mut Map<String, Value>,
    spec: &RopeSpec,
    target_context: usize,
) -> Result<Vec<Warning>> {
    if is_nested(config)
        && let Some(Value::Object(mut text)) = config.get(TEXT).cloned()
    {
        let whole = language_model(config);
        if let Some(model_type) = whole.get(MODEL_TYPE).cloned() {
            text.insert(MODEL_TYPE.to_owned(), model_type);
        }
        let warnings = write_hf_rope(&mut text, spec, target_context)?;
        config.insert(TEXT.to_owned(), Value::Object(text));
        return Ok(warnings);
    }
    spec.validate()?;
    let partial = partial_rotary_factor(config, spec.rotary_dim)?;
    let rules = rope_rules(config);
    write_head_dim(config, rules)?;
    let mut warnings = Vec::new();
    let only_long_rope = rules.is_some_and(|rules| rules.only_long_rope);
    let is_dropped = matches!(spec.scaling, RopeScaling::Drope { .. });
    let rewritten = if only_long_rope || is_dropped {
        as_long_rope(config, spec, target_context, &mut warnings)?
    } else {
        None
    };
    let spec = rewritten.as_ref().unwrap_or(spec);

    let mut section = section(spec, target_context, &mut warnings)?;
    let max_context = section.max_context;
    if section.rope_type != "default" && rules.is_some_and(|rules| rules.has_mscales) {
        for key in MSCALES {
            let scale = || json!(spec.attention_scale(max_context));
            section.entries.entry(key).or_insert_with(scale);
        }
    }
    if let Some(family) = Family::find(config)
        && family.rules().rope.short_in_transformers
        && section.entries.get("short_factor") != section.entries.get("long_factor")
    {
        let model_type = family.model_type();
        warnings.push(Warning::ShortFactorsInTransformers { model_type });
    }
    let partial = write_top_level(config, spec, &section, partial);

    let only_factors = only_long_rope && section.default_attention;
    if only_long_rope && !only_factors && !section.entries.is_empty() {
        warnings.push(Warning::NotForTransformers4 {});
    }
    let other = other_keys(config);
    let v4 = section.for_transformers4(only_factors, &other);
    let v5 = section.for_transformers5(partial, other);
    let (v4, v5) = by_layer_type(config, v4, v5)?;
    config.insert(ROPE_SCALING.to_owned(), v4);
    config.insert(ROPE_PARAMETERS.to_owned(), Value::Object(v5));
    Ok(warnings)
}

/// Writes the keys beside the section. Returns the share of a head that is rotated, if it has to be stated.
fn write_top_level(
    config: &mut Map<String, Value>,
    spec: &RopeSpec,
    section: &WrittenSection,
    partial: f64,
) -> Option<f64> {
    let max_context = section.max_context;
    let states_original = config.contains_key(ORIGINAL_POSITION)
        || spec.original_context != max_context
        || spec.scaling != RopeScaling::None {};
    config.insert(MAX_POSITION.to_owned(), json!(max_context));
    raise_lengths(config, max_context);
    if states_original {
        config.insert(ORIGINAL_POSITION.to_owned(), json!(spec.original_context));
    }
    config.insert(THETA.to_owned(), json!(section.theta));
    let states_partial = config.contains_key(PARTIAL) || !same(partial, 1.0);
    let partial = states_partial.then_some(partial);
    if let Some(partial) = partial {
        config.insert(PARTIAL.to_owned(), json!(partial));
    }
    partial
}

/// Raises the other keys for the length of a context that are there. Programs would refuse longer texts.
fn raise_lengths(config: &mut Map<String, Value>, max_context: usize) {
    for key in LENGTHS {
        if let Some(length) = config.get_mut(key)
            && length.as_u64().is_some_and(|it| it < max_context as u64)
        {
            *length = json!(max_context);
        }
    }
}

/// Writes the size of a head for a class that needs it, and in place of `null`, on which classes that accept it fail as soon
/// as the rope is scaled.
fn write_head_dim(config: &mut Map<String, Value>, rules: Option<&RopeRules>) -> Result<()> {
    let needs_head_dim = rules.is_some_and(|rules| rules.needs_head_dim);
    let is_missing = needs_head_dim && !config.contains_key(HEAD_DIM);
    if is_missing || config.get(HEAD_DIM).is_some_and(Value::is_null) {
        let size = head_dim(config)?;
        config.insert(HEAD_DIM.to_owned(), json!(size));
    }
    Ok(())
}

/// How the class of a known family reads the rope.
fn rope_rules(config: &Map<String, Value>) -> Option<&'static RopeRules> {
    Family::find(config).map(|family| &family.rules().rope)
}

/// The keys of the rope section that have another meaning, and stay as they are.
fn other_keys(config: &Map<String, Value>) -> Map<String, Value> {
    let Some(rules) = rope_rules(config) else {
        return Map::new();
    };
    let section = |name: &str| {
        let keys = config.get(name)?.as_object()?;
        (!keys.is_empty()).then(|| keys.clone())
    };
    let section = section(ROPE_SCALING)
        .or_else(|| section(ROPE_PARAMETERS))
        .unwrap_or_else(|| rules.missing_section());
    let kept = rules.other_keys.iter();
    kept.filter_map(|key| Some(((*key).to_owned(), section.get(*key)?.clone())))
        .collect()
}

/// Both spellings of the section for a family whose layers with a window have a rope of their own, which stays as it is.
fn by_layer_type(
    config: &mut Map<String, Value>,
    v4: Value,
    v5: Map<String, Value>,
) -> Result<(Value, Map<String, Value>)> {
    let rules = rope_rules(config);
    let Some(ByLayerType::Local { key, theta }) = rules.map(|rules| rules.by_layer_type) else {
        return Ok((v4, v5));
    };
    let local = read_hf_rope(&Value::Object(config.clone()))?.local;
    let local_theta = local.map_or(theta, |local| local.theta);
    // The older spelling has no other way to say it.
    let can_say = key.is_some() || same(local_theta, theta);
    if let Some(key) = key {
        config.insert(key.to_owned(), json!(local_theta));
    }
    let mut parts = Map::new();
    // transformers looks for it beside the parts, other runtimes inside them.
    let truncate = v5.get("truncate").cloned();
    parts.insert(FULL.to_owned(), Value::Object(v5));
    let sliding = json!({ "rope_type": "default", THETA: local_theta });
    parts.insert(SLIDING.to_owned(), sliding);
    if let Some(truncate) = truncate {
        parts.insert("truncate".to_owned(), truncate);
    }
    Ok((if can_say { v4 } else { Value::Null }, parts))
}

/// The share of a head that is rotated, such that `int(head_dim * share)` is `rotary`.
fn partial_rotary_factor(config: &Map<String, Value>, rotary: usize) -> Result<f64> {
    let head_dim = head_dim(config)?;
    if rotary > head_dim {
        return Err(Error::Disagree {
            first: "head_dim".to_owned(),
            second: "rotary_dim".to_owned(),
            first_value: head_dim.to_string(),
            second_value: rotary.to_string(),
        });
    }
    let written = config.get(PARTIAL).and_then(Value::as_f64);
    let fits = |share: &f64| rotary_dim(head_dim, *share) == rotary;
    Ok(written
        .filter(fits)
        .unwrap_or_else(|| rotated_share(head_dim, rotary)))
}
