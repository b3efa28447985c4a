//! The keys at the top level of a config that concern its rope.

use serde_json::{Map, Value};

use crate::Result;
use crate::hf::bounds;
use crate::hf::family::{ByLayerType, Family, RopeRules};
use crate::hf::fields::Fields;
use crate::hf::head::head_dim;
use crate::hf::keys::{MAX_POSITION, ORIGINAL_POSITION, PARTIAL, THETA};

/// The keys beside a rope section. `None` is a missing key or `null`.
#[derive(Clone)]
pub(super) struct Top {
    /// `None` if the family has no known defaults.
    pub(super) rules: Option<&'static RopeRules>,
    pub(super) max_context: usize,
    pub(super) original_context: Option<usize>,
    pub(super) head_dim: usize,
    pub(super) theta: Option<f64>,
    pub(super) theta_is_null: bool,
    pub(super) partial: Option<f64>,
    /// The kinds of layers that `layer_types` lists; `None` without that key.
    pub(super) layer_types: Option<Vec<String>>,
}

impl Top {
    pub(super) fn of(config: &Map<String, Value>) -> Result<Self> {
        let family = Family::find(config).map(Family::rules);
        let rules = family.map(|family| &family.rope);
        let mut fields = Fields::new("", config);
        let max_context = match family.map(|family| &family.defaults) {
            Some(class) => fields.count_or(MAX_POSITION, &bounds::CONTEXT, class.max_context)?,
            None => fields.needed_count(MAX_POSITION, &bounds::CONTEXT)?,
        };
        // A class that has this key checks it.
        if rules.is_some_and(|rules| rules.original_context.is_some()) {
            fields.not_null(ORIGINAL_POSITION, bounds::CONTEXT.expected)?;
        }
        Ok(Self {
            rules,
            max_context,
            original_context: fields.loose_count(ORIGINAL_POSITION, &bounds::CONTEXT)?,
            head_dim: head_dim(config)?,
            theta: fields.number(THETA, &bounds::THETA)?,
            theta_is_null: config.get(THETA).is_some_and(Value::is_null),
            partial: fields.number(PARTIAL, &bounds::SHARE)?,
            layer_types: config
                .get("layer_types")
                .and_then(Value::as_array)
                .map(|list| {
                    let names = list.iter().filter_map(Value::as_str);
                    names.map(str::to_owned).collect()
                }),
        })
    }

    /// Whether a model whose layers differ has some of this type. Without a list, it has all types.
    pub(super) fn has_layers_of(&self, layer_type: &str) -> bool {
        let listed = self.layer_types.as_ref();
        listed.is_none_or(|list| list.iter().any(|listed| listed == layer_type))
    }

    /// Whether the class rotates whole heads when there is no scaling, whatever `partial_rotary_factor` says.
    pub(super) fn rotates_whole_heads(&self) -> bool {
        self.rules.is_some_and(|rules| rules.whole_heads)
    }

    /// Whether the class loads no scaling but longrope.
    pub(super) fn has_only_long_rope(&self) -> bool {
        self.rules.is_some_and(|rules| rules.only_long_rope)
    }

    /// Whether layers with a sliding window have a rope of their own.
    pub(super) fn has_local_rope(&self) -> bool {
        let by_layer_type = self.rules.map(|rules| rules.by_layer_type);
        matches!(by_layer_type, Some(ByLayerType::Local { .. }))
    }

    /// The section of a config that has none.
    pub(super) fn missing_section(&self) -> Map<String, Value> {
        self.rules
            .map(RopeRules::missing_section)
            .unwrap_or_default()
    }
}
