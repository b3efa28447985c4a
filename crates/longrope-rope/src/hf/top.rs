//! The keys at the top level of a config that concern its rope.

use serde_json::{Map, Value};

use super::bounds;
use super::family::Family;
use super::fields::Fields;
use super::head::{head_dim, is_phi3};
use super::keys::{MAX_POSITION, ORIGINAL_POSITION, PARTIAL, THETA};
use crate::Result;

/// The keys beside a rope section. `None` is a missing key or `null`.
pub(super) struct Top {
    /// `None` if the family has no known defaults.
    pub(super) family: Option<Family>,
    pub(super) is_phi3: bool,
    pub(super) max_context: usize,
    pub(super) original_context: Option<usize>,
    pub(super) head_dim: usize,
    pub(super) theta: Option<f64>,
    pub(super) theta_is_null: bool,
    pub(super) partial: Option<f64>,
}

impl Top {
    pub(super) fn of(config: &Map<String, Value>) -> Result<Self> {
        let family = Family::find(config);
        let mut fields = Fields::new("", config);
        let max_context = match family.map(Family::defaults) {
            Some(class) => fields.count_or(MAX_POSITION, &bounds::CONTEXT, class.max_context)?,
            None => fields.needed_count(MAX_POSITION, &bounds::CONTEXT)?,
        };
        // Only the class of Phi-3 has this key, and checks it.
        if family == Some(Family::Phi3) {
            fields.not_null(ORIGINAL_POSITION, bounds::CONTEXT.expected)?;
        }
        Ok(Self {
            family,
            is_phi3: is_phi3(config),
            max_context,
            original_context: fields.loose_count(ORIGINAL_POSITION, &bounds::CONTEXT)?,
            head_dim: head_dim(config)?,
            theta: fields.number(THETA, &bounds::THETA)?,
            theta_is_null: config.get(THETA).is_some_and(Value::is_null),
            partial: fields.number(PARTIAL, &bounds::SHARE)?,
        })
    }

    /// Whether the class rotates whole heads when there is no scaling, whatever `partial_rotary_factor` says.
    pub(super) fn rotates_whole_heads(&self) -> bool {
        matches!(
            self.family,
            Some(Family::Llama | Family::Mistral | Family::Qwen2)
        )
    }
}
