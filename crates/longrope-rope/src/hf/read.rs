//! `config.json` to rope spec.

use serde_json::{Map, Value};

use super::attention::{attention_policy, same};
use super::bounds;
use super::conflicts::{Section, WithKeys, conflict, conflicts};
use super::document::object;
use super::family::ByLayerType;
use super::fields::Fields;
use super::head::rotary_dim;
use super::keys::{
    FULL, ORIGINAL_POSITION, PARTIAL, ROPE_PARAMETERS, ROPE_SCALING, SLIDING, THETA,
};
use super::long_rope;
use super::nested::language_model;
use super::split::Split;
use super::top::Top;
use super::two_ropes::TwoRopes;
use crate::error::Names;
use crate::{AttentionScale, Error, Result, RopeScaling, RopeSpec, Warning};

const ROPE_TYPES: Names = Names(&["default", "linear", "dynamic", "yarn", "llama3", "longrope"]);

/// The rope of a model config.
#[derive(Clone, Debug, PartialEq)]
pub struct HfRope {
    /// The spec that determines the angles.
    pub spec: RopeSpec,
    /// The spec of layers with a sliding window, if they have one of their own.
    pub local: Option<RopeSpec>,
    /// `max_position_embeddings`, the context that the config claims, in tokens.
    pub max_context: usize,
    /// Warnings to show to the user.
    pub warnings: Vec<Warning>,
}

/// Reads the rope of a Hugging Face model config, as transformers 5.24 understands it.
///
/// Both spellings are read, `rope_scaling` with its neighbours and `rope_parameters`. If both are there, `rope_scaling`
/// is used unless it is empty, and a [`Warning::Conflict`] tells every difference. Inside a section, `rope_type` is used
/// rather than `type`, and a number of the section rather than its neighbour at the top level, except for
/// `original_max_position_embeddings`, where the top level is used. Where layers with a sliding window have a rope of their
/// own, `rope_scaling` is merged into the part `full_attention` instead, and the original context is that of the part.
///
/// The types are `default`, `linear`, `dynamic`, `yarn`, `llama3` and `longrope` (also called `su`). `short_factor` and
/// `long_factor` become two factor sets, for up to `original_max_position_embeddings` tokens and for more. Known families
/// have the defaults of their classes; in other configs every key is needed.
///
/// # Errors
/// [`Error::MissingKey`], [`Error::WrongValue`], [`Error::ListLength`], [`Error::NotDivisible`],
/// [`Error::RotatedPart`], [`Error::UnknownRopeType`], [`Error::LayerTypes`], and the errors of [`RopeSpec::validate`].
pub fn read_hf_rope(config: &Value) -> Result<HfRope> {
    let config = &*language_model(object(config)?);
    let top = Top::of(config)?;
    let mut fields = Fields::new("", config);
    let v4 = fields.object(ROPE_SCALING)?.filter(|keys| !keys.is_empty());
    let v5 = fields.object(ROPE_PARAMETERS)?;
    let two = TwoRopes::of(config);
    let Section {
        spec, mut warnings, ..
    } = match (&two, v4, v5) {
        (Some(two), v4, v5) => {
            let mut used = read_section(&top, two.name, &two.keys)?;
            if let (Some(_), Some(v5)) = (v4, v5) {
                let alone = TwoRopes::split(ROPE_PARAMETERS, v5.clone());
                let read = WithKeys {
                    section: &used,
                    keys: two.full(),
                };
                let more = beside(&top, read, &alone.keys, alone.full());
                used.warnings.extend(more);
            }
            used.warnings.extend(two.warnings.iter().cloned());
            used
        }
        (None, Some(v4), Some(v5)) => {
            let mut used = read_section(&top, ROPE_SCALING, v4)?;
            let read = WithKeys {
                section: &used,
                keys: v4,
            };
            let more = beside(&top, read, v5, v5);
            used.warnings.extend(more);
            used
        }
        (None, Some(v4), None) => read_section(&top, ROPE_SCALING, v4)?,
        (None, None, Some(v5)) => read_section(&top, ROPE_PARAMETERS, v5)?,
        (None, None, None) => read_section(&top, ROPE_SCALING, &top.missing_section())?,
    };
    let (name, keys) = match (&two, v4, v5) {
        (Some(two), ..) => (two.name, &two.keys),
        (None, Some(v4), _) => (ROPE_SCALING, v4),
        (None, None, Some(v5)) => (ROPE_PARAMETERS, v5),
        (None, None, None) => (ROPE_SCALING, &Map::new()),
    };
    let local = read_local(&top, config, (name, keys), &mut warnings)?;
    Ok(HfRope {
        // Without scaling, this has no effect.
        local: local.map(|local| RopeSpec {
            original_context: spec.original_context,
            ..local
        }),
        spec,
        max_context: top.max_context,
        warnings,
    })
}

/// The warnings about `rope_parameters` beside `rope_scaling`, which is used. Of the `ignored` section, `compared` are the
/// keys that correspond to those used.
fn beside(
    top: &Top,
    used: WithKeys<'_>,
    ignored: &Map<String, Value>,
    compared: &Map<String, Value>,
) -> Vec<Warning> {
    match read_section(top, ROPE_PARAMETERS, ignored) {
        Ok(read) if read.spec == used.section.spec => {
            let new = |warning: &Warning| !used.section.warnings.contains(warning);
            read.warnings.into_iter().filter(new).collect()
        }
        Ok(read) => {
            let ignored = WithKeys {
                section: &read,
                keys: compared,
            };
            conflicts(used, ignored)
        }
        // Nothing of it is used, so it may be wrong.
        Err(error) => vec![conflict(
            (ROPE_SCALING.to_owned(), used.section.rope_type.to_owned()),
            (ROPE_PARAMETERS.to_owned(), error.to_string()),
        )],
    }
}

/// Reads a section: the part of the layers that an extension is about, where it is split by kind of layer.
fn read_section(top: &Top, name: &'static str, keys: &Map<String, Value>) -> Result<Section> {
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
    let mut theta = theta(top, &mut fields, &mut warnings)?;
    let partial = either(
        &mut fields,
        PARTIAL,
        &bounds::SHARE,
        top.partial,
        &mut warnings,
    )?;
    let rope_type = rope_type(&mut fields, top.has_only_long_rope(), &mut warnings)?;
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
    let rotated = even_rotary_dim(top.head_dim, partial)?;

    let (original_context, scaling) = match rope_type {
        "default" => (
            top.original_context.unwrap_or(top.max_context),
            RopeScaling::None {},
        ),
        "linear" => {
            let scale = fields.needed_number("factor", &bounds::GROWTH)?;
            (
                top.original_context.unwrap_or(top.max_context),
                RopeScaling::Linear { scale },
            )
        }
        // A change of the base that does not depend on the length.
        "dynamic" if let Some(alpha) = alpha(top, &mut fields)? => {
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
            theta *= alpha.powf(dims / (dims - 2.0));
            (top.max_context, RopeScaling::None {})
        }
        // The formula takes the original context from `max_position_embeddings`, whatever else is written.
        "dynamic" => (
            top.max_context,
            RopeScaling::DynamicNtk {
                scale: fields.needed_number("factor", &bounds::GROWTH)?,
            },
        ),
        "yarn" => {
            let original_context = original_context(top, &mut fields, &mut warnings)?;
            (
                original_context,
                yarn(top, &mut fields, original_context, &mut warnings)?,
            )
        }
        "llama3" => {
            let scaling = llama3(&mut fields)?;
            (original_context(top, &mut fields, &mut warnings)?, scaling)
        }
        _ => long_rope_scaling(top, &mut fields, rotated / 2, &mut warnings)?,
    };
    for key in top.rules.map_or(&[][..], |rules| rules.other_keys) {
        fields.value(key);
    }
    let spec = RopeSpec::new(rotated, theta, original_context, scaling)?;
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

/// Number of rotated dimensions of a head.
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

/// The base: of the section, of the top level, or the default of the class.
fn theta(top: &Top, fields: &mut Fields, warnings: &mut Vec<Warning>) -> Result<f64> {
    if let Some(theta) = either(fields, THETA, &bounds::THETA, top.theta, warnings)? {
        return Ok(theta);
    }
    let Some(used) = top.rules.map(|rules| rules.theta) else {
        return Err(Error::MissingKey {
            key: THETA.to_owned(),
        });
    };
    if top.theta_is_null || fields.has(THETA) {
        warnings.push(Warning::NullTheta { used });
    }
    Ok(used)
}

/// `alpha` of a class that has it.
fn alpha(top: &Top, fields: &mut Fields) -> Result<Option<f64>> {
    if !top.rules.is_some_and(|rules| rules.has_alpha) {
        return Ok(None);
    }
    let alpha = fields.number("alpha", &bounds::NOT_NEGATIVE)?;
    Ok(alpha.filter(|alpha| *alpha != 0.0))
}

/// Reads the rope of the layers with a sliding window; `None` if they share that of the others.
///
/// A split section has it. An old section, which is not split, is for the other layers only.
fn read_local(
    top: &Top,
    config: &Map<String, Value>,
    (name, keys): (&'static str, &Map<String, Value>),
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

/// A number of the section, else the one at the top level.
fn either(
    fields: &mut Fields,
    key: &'static str,
    bound: &bounds::Number,
    top: Option<f64>,
    warnings: &mut Vec<Warning>,
) -> Result<Option<f64>> {
    let inner = fields.number(key, bound)?;
    if let (Some(inner), Some(outer)) = (inner, top)
        && !same(inner, outer)
    {
        warnings.push(conflict(
            (fields.path(key), inner.to_string()),
            (key.to_owned(), outer.to_string()),
        ));
    }
    Ok(inner.or(top))
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

/// The context before the extension: from the top level, else from the section, else the whole context.
///
/// A class with a default for it has it at the top level. That of a section in parts does not read the top level.
fn original_context(top: &Top, fields: &mut Fields, warnings: &mut Vec<Warning>) -> Result<usize> {
    let inner = fields.loose_count(ORIGINAL_POSITION, &bounds::CONTEXT)?;
    if top.has_local_rope() {
        let used = inner.unwrap_or(top.max_context);
        let default = if inner.is_none() {
            " (the default)"
        } else {
            ""
        };
        if let Some(outer) = top.original_context
            && outer != used
        {
            warnings.push(conflict(
                (fields.path(ORIGINAL_POSITION), format!("{used}{default}")),
                (ORIGINAL_POSITION.to_owned(), outer.to_string()),
            ));
        }
        return Ok(used);
    }
    let default = top.rules.and_then(|rules| rules.original_context);
    let outer = top.original_context.or(default);
    if let (Some(inner), Some(outer)) = (inner, outer)
        && inner != outer
    {
        let is_default = top.original_context.is_none();
        let default = if is_default { " (the default)" } else { "" };
        warnings.push(conflict(
            (ORIGINAL_POSITION.to_owned(), format!("{outer}{default}")),
            (fields.path(ORIGINAL_POSITION), inner.to_string()),
        ));
    }
    Ok(outer.or(inner).unwrap_or(top.max_context))
}

fn yarn(
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
