//! `config.json` to rope spec.

use serde_json::{Map, Value};

use super::attention::{attention_policy, same};
use super::fields::Fields;
use super::head::{head_dim, is_phi3, rotary_dim};
use super::keys::{
    MAX_POSITION, ORIGINAL_POSITION, PARTIAL, PHI3_ORIGINAL, ROPE_PARAMETERS, ROPE_SCALING, THETA,
};
use super::long_rope;
use super::spelling::{Spelling, Top};
use crate::error::Names;
use crate::{AttentionScale, Error, Result, RopeScaling, RopeSpec, Warning};

const ROPE_TYPES: Names = Names(&["default", "linear", "dynamic", "yarn", "llama3", "longrope"]);

/// The rope of a model config.
#[derive(Clone, Debug, PartialEq)]
pub struct HfRope {
    /// The spec that determines the angles.
    pub spec: RopeSpec,
    /// `max_position_embeddings`, the context that the config claims, in tokens.
    pub max_context: usize,
    /// Warnings to show to the user.
    pub warnings: Vec<Warning>,
}

/// Reads the rope of a Hugging Face model config, as transformers 5 understands it.
///
/// Both spellings are read, `rope_scaling` with its neighbours and `rope_parameters`. The types are `default`, `linear`,
/// `dynamic`, `yarn`, `llama3` and `longrope` (also called `su`). `short_factor` and `long_factor` become two factor
/// sets, for `original_max_position_embeddings` and for `max_position_embeddings` tokens.
///
/// # Errors
/// [`Error::MissingKey`], [`Error::WrongValue`], [`Error::UnknownRopeType`], [`Error::Disagree`] when two spellings in
/// one config differ, [`Error::LayerTypes`], and the errors of [`RopeSpec::validate`].
pub fn read_hf_rope(config: &Value) -> Result<HfRope> {
    let config = config.as_object().ok_or_else(|| Error::WrongValue {
        key: "config.json".to_owned(),
        found: config.clone(),
        expected: "an object",
    })?;
    let mut fields = Fields::new("", config);
    let top = Top {
        is_phi3: is_phi3(config),
        max_context: fields.needed_count(MAX_POSITION)?,
        original_context: fields.count(ORIGINAL_POSITION)?,
        head_dim: head_dim(config)?,
        theta: fields.number(THETA)?,
        partial: fields.number(PARTIAL)?,
    };
    let (spec, warnings) = match (
        fields.object(ROPE_SCALING)?,
        fields.object(ROPE_PARAMETERS)?,
    ) {
        (Some(v4), None) => read_section(&top, Spelling::V4, v4)?,
        (None, Some(v5)) => read_section(&top, Spelling::V5, v5)?,
        (None, None) => read_section(&top, Spelling::V4, &Map::new())?,
        (Some(v4), Some(v5)) => {
            let (spec_v4, mut warnings) = read_section(&top, Spelling::V4, v4)?;
            let (spec_v5, warnings_v5) = read_section(&top, Spelling::V5, v5)?;
            require_agreement(&spec_v4, &spec_v5)?;
            let new: Vec<Warning> = warnings_v5
                .into_iter()
                .filter(|warning| !warnings.contains(warning))
                .collect();
            warnings.extend(new);
            (spec_v5, warnings)
        }
    };
    Ok(HfRope {
        spec,
        max_context: top.max_context,
        warnings,
    })
}

fn read_section(
    top: &Top,
    spelling: Spelling,
    section: &Map<String, Value>,
) -> Result<(RopeSpec, Vec<Warning>)> {
    let name = if spelling == Spelling::V4 {
        ROPE_SCALING
    } else {
        ROPE_PARAMETERS
    };
    if let Some((layer_type, _)) = section.iter().find(|(_, value)| value.is_object()) {
        return Err(Error::LayerTypes {
            section: name,
            layer_type: layer_type.clone(),
        });
    }
    let mut fields = Fields::new(name, section);
    let theta = agreed(&mut fields, THETA, top.theta)?.ok_or_else(|| Error::MissingKey {
        key: THETA.to_owned(),
    })?;
    let partial = agreed(&mut fields, PARTIAL, top.partial)?.unwrap_or(1.0);
    let rope_type = rope_type(&mut fields, top.is_phi3)?;

    let mut warnings = Vec::new();
    let (original_context, scaling) = match rope_type {
        "default" => (
            top.original_context.unwrap_or(top.max_context),
            RopeScaling::None {},
        ),
        "linear" => {
            let scale = fields.needed_number("factor")?;
            (
                top.original_context.unwrap_or(top.max_context),
                RopeScaling::Linear { scale },
            )
        }
        // The formula takes the original context from `max_position_embeddings`, whatever else is written.
        "dynamic" => (
            top.max_context,
            RopeScaling::DynamicNtk {
                scale: fields.needed_number("factor")?,
            },
        ),
        "yarn" => {
            let original_context = original_context(top, &mut fields)?;
            (
                original_context,
                yarn(top, &mut fields, original_context, &mut warnings)?,
            )
        }
        "llama3" => {
            let scaling = RopeScaling::Llama3 {
                scale: fields.needed_number("factor")?,
                low_freq_factor: fields.needed_number("low_freq_factor")?,
                high_freq_factor: fields.needed_number("high_freq_factor")?,
            };
            (original_context(top, &mut fields)?, scaling)
        }
        _ => {
            let original_context = original_context(top, &mut fields)?;
            (
                original_context,
                long_rope::read(top, spelling, &mut fields, original_context, &mut warnings)?,
            )
        }
    };
    warnings.extend(fields.unused());
    let spec = RopeSpec::new(
        rotary_dim(top.head_dim, partial),
        theta,
        original_context,
        scaling,
    )?;
    Ok((spec, warnings))
}

/// A number that may be in the section, at the top level, or in both with the same value.
fn agreed(fields: &mut Fields, key: &'static str, top: Option<f64>) -> Result<Option<f64>> {
    match (fields.number(key)?, top) {
        (Some(inner), Some(outer)) if !same(inner, outer) => Err(Error::Disagree {
            first: key.to_owned(),
            second: fields.path(key),
            first_value: outer.to_string(),
            second_value: inner.to_string(),
        }),
        (inner, outer) => Ok(inner.or(outer)),
    }
}

/// The rope type by its current name.
fn rope_type(fields: &mut Fields, is_phi3: bool) -> Result<&'static str> {
    let current = |name: &str| match name {
        "su" => "longrope".to_owned(),
        "yarn" if is_phi3 => "longrope".to_owned(),
        other => other.to_owned(),
    };
    let (new, old) = (fields.text("rope_type")?, fields.text("type")?);
    if let (Some(new), Some(old)) = (new, old)
        && current(new) != current(old)
    {
        return Err(Error::Disagree {
            first: fields.path("rope_type"),
            second: fields.path("type"),
            first_value: new.to_owned(),
            second_value: old.to_owned(),
        });
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
fn original_context(top: &Top, fields: &mut Fields) -> Result<usize> {
    let inner = fields.count(ORIGINAL_POSITION)?;
    let default = if top.is_phi3 {
        PHI3_ORIGINAL
    } else {
        top.max_context
    };
    Ok(top.original_context.or(inner).unwrap_or(default))
}

fn yarn(
    top: &Top,
    fields: &mut Fields,
    original_context: usize,
    warnings: &mut Vec<Warning>,
) -> Result<RopeScaling> {
    let ratio = top.max_context as f64 / original_context as f64;
    let scale = match fields.number("factor")? {
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
        None if ratio > 1.0 => ratio,
        None => return Err(fields.missing("factor")),
    };
    // 0 means "not given" for these four.
    let given = |number: Option<f64>| number.filter(|number| *number != 0.0);
    let mscale = given(fields.number("mscale")?);
    let mscale_all_dim = given(fields.number("mscale_all_dim")?);
    let default = AttentionScale::Yarn {};
    let value = match (fields.number("attention_factor")?, mscale, mscale_all_dim) {
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
    Ok(RopeScaling::Yarn {
        scale,
        beta_fast: given(fields.number("beta_fast")?).unwrap_or(32.0),
        beta_slow: given(fields.number("beta_slow")?).unwrap_or(1.0),
        truncate: fields.boolean("truncate")?.unwrap_or(true),
        attention: attention_policy(value, default, scale, original_context),
    })
}

fn require_agreement(v4: &RopeSpec, v5: &RopeSpec) -> Result<()> {
    if v4 == v5 {
        return Ok(());
    }
    let disagree = |key: &str, first_value: String, second_value: String| Error::Disagree {
        first: format!("{ROPE_SCALING}.{key}"),
        second: format!("{ROPE_PARAMETERS}.{key}"),
        first_value,
        second_value,
    };
    Err(if v4.original_context != v5.original_context {
        disagree(
            ORIGINAL_POSITION,
            v4.original_context.to_string(),
            v5.original_context.to_string(),
        )
    } else if v4.rotary_dim != v5.rotary_dim {
        disagree(
            PARTIAL,
            v4.rotary_dim.to_string(),
            v5.rotary_dim.to_string(),
        )
    } else if !same(v4.theta, v5.theta) {
        disagree(THETA, v4.theta.to_string(), v5.theta.to_string())
    } else if v4.scaling.name() != v5.scaling.name() {
        disagree(
            "rope_type",
            v4.scaling.name().to_owned(),
            v5.scaling.name().to_owned(),
        )
    } else {
        Error::Disagree {
            first: ROPE_SCALING.to_owned(),
            second: ROPE_PARAMETERS.to_owned(),
            first_value: format!("{:?}", v4.scaling),
            second_value: format!("{:?}", v5.scaling),
        }
    })
}
