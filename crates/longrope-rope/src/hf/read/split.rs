//! Rope sections that are split by kind of layer.

use serde_json::{Map, Value};

use crate::hf::family::{ByLayerType, RopeRules};
use crate::hf::fields::Fields;
use crate::hf::keys::{FULL, ROPE_PARAMETERS, SLIDING};
use crate::{Error, Result, Warning};

/// How a section is split.
pub(super) enum Split<'a> {
    /// It is not.
    Whole,
    /// Layers with a sliding window have a rope of their own. A missing part stands for the defaults.
    Local {
        /// The part of the layers that see all tokens.
        full: Option<&'a Map<String, Value>>,
        /// The part of the layers with a sliding window.
        sliding: Option<&'a Map<String, Value>>,
        /// Warnings about the keys beside the parts, which the class does not read.
        other_keys: Vec<Warning>,
    },
    /// All layers share one rope, so all parts must be equal.
    Same {
        /// The kind of layer of the first part.
        layer_type: &'static str,
        /// The parts, at least one.
        parts: Vec<&'a Map<String, Value>>,
    },
}

impl<'a> Split<'a> {
    /// How the class of a config reads a section; `rules` are `None` for an unknown family.
    ///
    /// `rope_parameters` of a class with two ropes consists of parts, and keys beside them are not read. An older
    /// `rope_scaling` without parts is for the layers that see all tokens. A class with one rope reads the keys beside the
    /// parts if they name a type.
    ///
    /// # Errors
    /// [`Error::WrongValue`] for a part that is neither an object nor null, and [`Error::LayerTypes`] for a section of an
    /// unknown family with any object in it.
    pub(super) fn of(
        rules: Option<&RopeRules>,
        name: &'static str,
        keys: &'a Map<String, Value>,
    ) -> Result<Self> {
        let Some(rules) = rules else {
            return match keys.iter().find(|(_, value)| value.is_object()) {
                None => Ok(Self::Whole),
                Some((layer_type, _)) => Err(Error::LayerTypes {
                    section: name,
                    layer_type: layer_type.clone(),
                }),
            };
        };
        if rules.by_layer_type == ByLayerType::Ignored {
            return Ok(Self::Whole);
        }
        let mut fields = Fields::new(name, keys);
        let full = fields.object(FULL)?;
        let sliding = fields.object(SLIDING)?;
        let has_parts = full.is_some() || sliding.is_some();
        if let ByLayerType::Local { .. } = rules.by_layer_type {
            let is_new = name == ROPE_PARAMETERS && !keys.is_empty();
            return Ok(if has_parts || is_new {
                Self::Local {
                    full,
                    sliding,
                    other_keys: fields.unused(),
                }
            } else {
                Self::Whole
            });
        }
        let layer_type = if full.is_some() { FULL } else { SLIDING };
        Ok(if has_parts && !keys.contains_key("rope_type") {
            Self::Same {
                layer_type,
                parts: full.into_iter().chain(sliding).collect(),
            }
        } else {
            Self::Whole
        })
    }
}
