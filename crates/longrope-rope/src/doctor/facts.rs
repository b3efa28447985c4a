//! The parts of a config that runtimes read differently.

use serde_json::{Map, Value};

pub(super) use crate::hf::Family;
use crate::hf::{ORIGINAL_POSITION, ROPE_PARAMETERS, ROPE_SCALING, THETA};
use crate::{AttentionScale, Result, RopeScaling, RopeSpec, read_hf_rope};

/// The default of every runtime that has one.
pub(super) const DEFAULT_THETA: f64 = 10_000.0;

/// A config and how this project reads it.
pub(super) struct Facts<'a> {
    pub(super) model_type: &'static str,
    pub(super) family: Family,
    /// The rope as this project reads it.
    pub(super) spec: RopeSpec,
    pub(super) max_context: usize,
    /// `original_max_position_embeddings` at the top level.
    pub(super) top_original: Option<usize>,
    /// `rope_theta` at the top level.
    pub(super) top_theta: Option<f64>,
    /// `rope_scaling`, the spelling of transformers 4.
    pub(super) rope_scaling: Option<&'a Map<String, Value>>,
    /// `rope_parameters`, the spelling of transformers 5.
    pub(super) rope_parameters: Option<&'a Map<String, Value>>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(config: &'a Value) -> Result<Self> {
        let family = Family::of(config.as_object().unwrap_or(&Map::new()))?;
        let rope = read_hf_rope(config)?;
        Ok(Self {
            model_type: family.model_type(),
            family,
            spec: rope.spec,
            max_context: rope.max_context,
            top_original: count(config.get(ORIGINAL_POSITION)),
            top_theta: config.get(THETA).and_then(Value::as_f64),
            rope_scaling: config
                .get(ROPE_SCALING)
                .and_then(Value::as_object)
                .filter(|keys| !keys.is_empty()),
            rope_parameters: config.get(ROPE_PARAMETERS).and_then(Value::as_object),
        })
    }

    pub(super) fn is_phi3(&self) -> bool {
        self.family == Family::Phi3
    }

    pub(super) fn is_long_rope(&self) -> bool {
        matches!(self.spec.scaling, RopeScaling::LongRope { .. })
    }

    pub(super) fn is_scaled(&self) -> bool {
        !matches!(self.spec.scaling, RopeScaling::None {})
    }

    /// Whether the rope section has a key, even if its value is `null`.
    pub(super) fn has(&self, key: &str) -> bool {
        let section = self.rope_scaling.or(self.rope_parameters);
        section.is_some_and(|section| section.contains_key(key))
    }

    pub(super) fn is_yarn(&self) -> bool {
        matches!(self.spec.scaling, RopeScaling::Yarn { .. })
    }

    /// A value of the rope section; with both spellings transformers 5 reads the older one.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        let section = self.rope_scaling.or(self.rope_parameters)?;
        section.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.value(key).and_then(Value::as_f64)
    }

    /// `original_max_position_embeddings` of the rope section.
    pub(super) fn inner_original(&self) -> Option<usize> {
        count(self.value(ORIGINAL_POSITION))
    }

    /// Whether the config states the original context.
    pub(super) fn names_original(&self) -> bool {
        self.top_original.or(self.inner_original()).is_some()
    }

    /// `max_position_embeddings / original_max_position_embeddings`.
    pub(super) fn ratio(&self) -> f64 {
        self.max_context as f64 / self.spec.original_context as f64
    }

    /// Whether the config has a rope section, but not where transformers 4 and candle look for it.
    pub(super) fn is_only_v5(&self) -> bool {
        self.rope_parameters.is_some() && self.rope_scaling.is_none()
    }

    /// The spec with another attention scale, the same for all sets.
    pub(super) fn with_attention(&self, value: f64) -> RopeSpec {
        let mut spec = self.spec.clone();
        if let RopeScaling::LongRope { sets, attention } = &mut spec.scaling {
            *attention = AttentionScale::Constant { value };
            for set in sets {
                set.attention = None;
            }
        }
        spec
    }

    /// The attention scale of LongRoPE models for a context that grew by `scale`.
    pub(super) fn su(&self, scale: f64) -> f64 {
        AttentionScale::Su {}.value(scale, self.spec.original_context)
    }
}

/// A count that may be spelled as a float.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts were checked when the rope was read"
)]
fn count(value: Option<&Value>) -> Option<usize> {
    value?.as_f64().map(|count| count as usize)
}

/// Why a runtime differs, without its name.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Explanation {
    pub(super) what: String,
    pub(super) consequence: &'static str,
}

pub(super) fn because(what: impl Into<String>, consequence: &'static str) -> Explanation {
    Explanation {
        what: what.into(),
        consequence,
    }
}

/// Why a runtime that reads only the spelling of version 4 sees no scaling.
pub(super) fn ignores_rope_parameters(theta: f64) -> Explanation {
    because(
        format!("does not know `rope_parameters` and computes plain RoPE with theta {theta}"),
        "the model was not trained for these angles",
    )
}
