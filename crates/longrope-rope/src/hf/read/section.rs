//! One rope section of a config: its type, its numbers, and its parts by kind of layer.

use serde_json::{Map, Value};

use super::conflicts::{Section, conflict};
use super::inherited::{number, original_context, theta};
use super::split::Split;
use super::top::Top;
use super::yarn::yarn;
use crate::error::Names;
use crate::hf::attention::same;
use crate::hf::family::ByLayerType;
use crate::hf::fields::Fields;
use crate::hf::head::rotary_dim;
use crate::hf::keys::{FULL, PARTIAL, SLIDING};
use crate::hf::{bounds, long_rope};
use crate::{Error, Result, RopeScaling, RopeSpec, Warning};

const ROPE_TYPES: Names = Names(&["default", "linear", "dynamic", "yarn", "llama3", "longrope"]);

/// Reads a section: the part of the layers that an extension is about, where it is split by kind of layer.
pub(super) fn read_section(
    top: &Top,
    name: &'static str,
    keys: &Map<String, Value>,
) -> Result<Section> {
    match Split::of(top.rules, name, keys)? {
        Split::Whole => read_part(top, name, keys),
        Split::Local {
            full, other_keys, ..
        } => {
            let mut section = read_part(top, name, full.unwrap_or(&Map::new()))?;
            if full.is_none() && top.has_layers_of(FULL) {
                section.warnings.push(Warning::NoPart {
                    section: name,
                    layer_type: FULL,
                    theta: section.spec.theta,
                });
            }
            section.warnings.extend(other_keys);
            Ok(section)
        }
        Split::Same { layer_type, parts } => {
            let mut all = parts.into_iter().map(|part| read_part(top, name, part));
            let split = || Error::LayerTypes {
                section: name,
                layer_type: layer_type.to_owned(),
            };
            let mut section = all.next().unwrap_or_else(|| Err(split()))?;
            for part in all {
                if part?.spec != section.spec {
                    return Err(split());
                }
            }
            section.warnings.push(Warning::SplitForOneRope {
                section: name,
                layer_type,
            });
            Ok(section)
        }
    }
}

/// Reads a section, or a part of it, that is not split.
fn read_part(top: &Top, name: &'static str, keys: &Map<String, Value>) -> Result<Section> {
    let mut fields = Fields::new(name, keys);
    let mut warnings = Vec::new();
    let theta = theta(top, &mut fields, &mut warnings)?;
    let partial = number(
        &mut fields,
        PARTIAL,
        &bounds::SHARE,
        top.partial,
        &mut warnings,
    )?;
    let rope_type = rope_type(&mut fields, top.has_only_long_rope(), &mut warnings)?;
    let rotated = rotated_dims(top, &mut fields, rope_type, partial, &mut warnings)?;

    let grown = match rope_type {
        "dynamic" => theta_by_alpha(top, &mut fields, theta, rotated)?,
        _ => None,
    };
    let (original_context, scaling) = if grown.is_some() {
        // A change of the base that does not depend on the length.
        (top.max_context, RopeScaling::None {})
    } else {
        scaling(top, &mut fields, rope_type, rotated / 2, &mut warnings)?
    };
    for key in top.rules.map_or(&[][..], |rules| rules.other_keys) {
        fields.value(key);
    }
    let spec = RopeSpec::new(rotated, grown.unwrap_or(theta), original_context, scaling)?;
    if rope_type != "longrope" {
        one_scale(top, &mut fields, &spec)?;
    }
    warnings.extend(fields.unused());
    Ok(Section {
        spec,
        rope_type,
        warnings,
    })
}

/// Original context and scaling of a type, for this many rotated pairs.
fn scaling(
    top: &Top,
    fields: &mut Fields,
    rope_type: &str,
    n_pairs: usize,
    warnings: &mut Vec<Warning>,
) -> Result<(usize, RopeScaling)> {
    let written = top.original_context.unwrap_or(top.max_context);
    Ok(match rope_type {
        "default" => (written, RopeScaling::None {}),
        "linear" => {
            let scale = fields.needed_number("factor", &bounds::GROWTH)?;
            (written, RopeScaling::Linear { scale })
        }
        // The formula takes the original context from `max_position_embeddings`, whatever else is written.
        "dynamic" => {
            let scale = fields.needed_number("factor", &bounds::GROWTH)?;
            (top.max_context, RopeScaling::DynamicNtk { scale })
        }
        "yarn" => {
            let original = original_context(top, fields, warnings)?;
            (original, yarn(top, fields, original, warnings)?)
        }
        "llama3" => {
            let scaling = llama3(fields)?;
            (original_context(top, fields, warnings)?, scaling)
        }
        _ => long_rope_scaling(top, fields, n_pairs, warnings)?,
    })
}

/// Number of rotated dimensions of a head, of which `partial` is the share that is written.
fn rotated_dims(
    top: &Top,
    fields: &mut Fields,
    rope_type: &str,
    partial: Option<f64>,
    warnings: &mut Vec<Warning>,
) -> Result<usize> {
    let partial = if rope_type == "default" && top.rotates_whole_heads() {
        if top.partial.is_some_and(|partial| !same(partial, 1.0)) {
            warnings.push(Warning::UnusedKey {
                section: "",
                key: PARTIAL.to_owned(),
            });
        }
        fields.ignore(PARTIAL);
        1.0
    } else {
        partial.unwrap_or(top.rules.map_or(1.0, |rules| rules.partial))
    };
    even_rotary_dim(top.head_dim, partial)
}

/// The rotated dimensions of a head if this share of it rotates: an even number.
fn even_rotary_dim(head_dim: usize, partial: f64) -> Result<usize> {
    let found = rotary_dim(head_dim, partial);
    if found < 2 || !found.is_multiple_of(2) {
        return Err(Error::RotatedPart {
            found,
            head_dim,
            partial,
        });
    }
    Ok(found)
}

/// The base that `alpha` gives, for a class that has it.
fn theta_by_alpha(
    top: &Top,
    fields: &mut Fields,
    theta: f64,
    rotated: usize,
) -> Result<Option<f64>> {
    let Some(alpha) = alpha(top, fields)? else {
        return Ok(None);
    };
    // Published configs have these, too.
    for key in [
        "factor",
        "beta_fast",
        "beta_slow",
        "mscale",
        "mscale_all_dim",
    ] {
        fields.value(key);
    }
    let dims = rotated as f64;
    Ok(Some(theta * alpha.powf(dims / (dims - 2.0))))
}

/// `alpha` of a class that has it.
fn alpha(top: &Top, fields: &mut Fields) -> Result<Option<f64>> {
    if !top.rules.is_some_and(|rules| rules.has_alpha) {
        return Ok(None);
    }
    let alpha = fields.number("alpha", &bounds::NOT_NEGATIVE)?;
    Ok(alpha.filter(|alpha| *alpha != 0.0))
}

/// The scaling of the type `llama3`.
fn llama3(fields: &mut Fields) -> Result<RopeScaling> {
    Ok(RopeScaling::Llama3 {
        scale: fields.needed_number("factor", &bounds::GROWTH)?,
        low_freq_factor: fields.needed_number("low_freq_factor", &bounds::POSITIVE)?,
        high_freq_factor: fields.needed_number("high_freq_factor", &bounds::POSITIVE)?,
    })
}

/// Original context and scaling of the type `longrope`.
fn long_rope_scaling(
    top: &Top,
    fields: &mut Fields,
    n_pairs: usize,
    warnings: &mut Vec<Warning>,
) -> Result<(usize, RopeScaling)> {
    let contexts = long_rope::Contexts {
        original: original_context(top, fields, warnings)?,
        max: top.max_context,
    };
    let has_mscales = top.rules.is_some_and(|rules| rules.has_mscales);
    let mut scaling = long_rope::read(fields, contexts, n_pairs, has_mscales, warnings)?;
    let is_long = top.rules.is_some_and(|rules| rules.always_long);
    if is_long && contexts.max > contexts.original {
        long_rope::use_long_factors(&mut scaling);
    }
    Ok((contexts.original, scaling))
}

/// Reads the two attention scales of a class that has them, for a type with one scale for all lengths. They are not used
/// if they differ from it.
fn one_scale(top: &Top, fields: &mut Fields, spec: &RopeSpec) -> Result<()> {
    if !top.rules.is_some_and(|rules| rules.has_mscales) {
        return Ok(());
    }
    let scale = spec.attention_scale(top.max_context);
    for key in long_rope::MSCALES {
        let found = fields.number(key, &bounds::POSITIVE)?;
        if found.is_some_and(|found| !same(found, scale)) {
            fields.ignore(key);
        }
    }
    Ok(())
}

/// Reads the rope of the layers with a sliding window from a section and the `config` that it is in; `None` if they share
/// that of the others.
///
/// A split section has it. An old section, which is not split, is for the other layers only.
pub(super) fn read_local(
    top: &Top,
    config: &Map<String, Value>,
    name: &'static str,
    keys: &Map<String, Value>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<RopeSpec>> {
    let Some(ByLayerType::Local { key, theta }) = top.rules.map(|rules| rules.by_layer_type) else {
        return Ok(None);
    };
    let mut fields = Fields::new("", config);
    let written = match key {
        Some(key) => fields.number(key, &bounds::THETA)?,
        None => None,
    };
    let local = Top {
        theta: Some(written.unwrap_or(theta)),
        ..top.clone()
    };
    let split = Split::of(top.rules, name, keys)?;
    let sliding = match split {
        Split::Local { sliding, .. } => sliding,
        Split::Whole | Split::Same { .. } => None,
    };
    let spec = read_part(&local, name, sliding.unwrap_or(&Map::new()))?.spec;
    if matches!(split, Split::Local { sliding: None, .. }) && top.has_layers_of(SLIDING) {
        warnings.push(Warning::NoPart {
            section: name,
            layer_type: SLIDING,
            theta: spec.theta,
        });
    }
    Ok(Some(spec))
}

/// The rope type by its current name.
fn rope_type(
    fields: &mut Fields,
    only_long_rope: bool,
    warnings: &mut Vec<Warning>,
) -> Result<&'static str> {
    let current = |name: &str| match name {
        "su" => "longrope".to_owned(),
        "yarn" if only_long_rope => "longrope".to_owned(),
        other => other.to_owned(),
    };
    let (new, old) = (fields.text("rope_type")?, fields.text("type")?);
    if let (Some(new), Some(old)) = (new, old)
        && current(new) != current(old)
    {
        warnings.push(conflict(
            (fields.path("rope_type"), new.to_owned()),
            (fields.path("type"), old.to_owned()),
        ));
    }
    let key = if new.is_some() { "rope_type" } else { "type" };
    let found = new.or(old).unwrap_or("default");
    ROPE_TYPES
        .0
        .iter()
        .find(|known| **known == current(found))
        .copied()
        .ok_or_else(|| Error::UnknownRopeType {
            key: fields.path(key),
            found: found.to_owned(),
            expected: ROPE_TYPES,
        })
}
