//! `config.json` to rope spec.

mod conflicts;
mod inherited;
mod section;
mod split;
mod top;
mod yarn;

use serde_json::{Map, Value};

use self::conflicts::{Section, WithKeys, conflict, conflicts};
use self::section::{read_local, read_section};
use self::top::Top;
use super::document::object;
use super::fields::Fields;
use super::keys::{ROPE_PARAMETERS, ROPE_SCALING};
use super::nested::language_model;
use super::two_ropes::TwoRopes;
use crate::{Result, RopeSpec, Warning};

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
/// [`MissingKey`](crate::Error::MissingKey), [`WrongValue`](crate::Error::WrongValue),
/// [`ListLength`](crate::Error::ListLength), [`NotDivisible`](crate::Error::NotDivisible),
/// [`RotatedPart`](crate::Error::RotatedPart), [`UnknownRopeType`](crate::Error::UnknownRopeType),
/// [`LayerTypes`](crate::Error::LayerTypes), and the errors of [`RopeSpec::validate`].
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
    let local = read_local(&top, config, name, keys, &mut warnings)?;
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
