//! The parts of a config that runtimes read differently.

use serde_json::{Map, Value};

use super::section::{Section, count};
pub(super) use crate::hf::Family;
use crate::hf::{ORIGINAL_POSITION, PHI3_ORIGINAL, ROPE_PARAMETERS, ROPE_SCALING, THETA, TwoRopes};
use crate::{Result, RopeScaling, RopeSpec, Warning, read_hf_config};

/// The default of every runtime that has one, except where its file says otherwise.
pub(super) const DEFAULT_THETA: f64 = 10_000.0;

/// The key of Qwen2.5-1M: attention in chunks, with position differences of at most one chunk.
pub(super) const DUAL_CHUNK: &str = "dual_chunk_attention_config";

/// Two statements of a config, of which one is used.
pub(super) struct Conflicting {
    /// Whether they are in different sections.
    pub(super) between_sections: bool,
    /// Which one is used.
    pub(super) text: String,
}

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
    /// Whether `head_dim` is given.
    pub(super) names_head_dim: bool,
    /// The size of a head, given or not.
    pub(super) head_dim: usize,
    /// `rope_scaling`, the spelling of transformers 4.
    pub(super) rope_scaling: Option<Section<'a>>,
    /// `rope_parameters`, the spelling of transformers 5.
    pub(super) rope_parameters: Option<Section<'a>>,
    /// What the class fills in if there is neither; empty if it fills in nothing.
    missing: Map<String, Value>,
    /// What the class makes of both where layers with a sliding window have a rope of their own.
    two_ropes: Option<TwoRopes>,
    /// Statements of the config that contradict each other.
    pub(super) conflicts: Vec<Conflicting>,
    /// Whether the config asks for dual chunk attention.
    pub(super) dual_chunk: bool,
    /// Everything unusual about the rope.
    warnings: Vec<Warning>,
}

impl<'a> Facts<'a> {
    pub(super) fn new(config: &'a Value) -> Result<Self> {
        let family = Family::of(config.as_object().unwrap_or(&Map::new()))?;
        let read = read_hf_config(config)?;
        let (rope, head_dim) = (read.rope, read.head_dim);
        let conflicts = rope.warnings.iter().filter_map(|warning| match warning {
            Warning::Conflict { used, ignored, .. } => Some(Conflicting {
                between_sections: used.starts_with(ROPE_SCALING)
                    && ignored.starts_with(ROPE_PARAMETERS),
                text: warning.to_string(),
            }),
            _ => None,
        });
        Ok(Self {
            model_type: family.model_type(),
            family,
            conflicts: conflicts.collect(),
            spec: rope.spec,
            max_context: rope.max_context,
            top_original: count(config.get(ORIGINAL_POSITION)),
            top_theta: config.get(THETA).and_then(Value::as_f64),
            names_head_dim: config.get("head_dim").is_some_and(Value::is_number),
            head_dim,
            rope_scaling: Section::of(config, ROPE_SCALING),
            rope_parameters: Section::of(config, ROPE_PARAMETERS)
                .map(|section| section.of_full_layers(family)),
            missing: family.missing_section(),
            two_ropes: config.as_object().and_then(TwoRopes::of),
            dual_chunk: config.get(DUAL_CHUNK).is_some_and(Value::is_object),
            warnings: rope.warnings,
        })
    }

    pub(super) fn is_phi3(&self) -> bool {
        self.family == Family::Phi3
    }

    /// Whether a size of heads is missing without which transformers 5 does not compute the type of a scaled rope: it multiplies
    /// the `None` of the class.
    pub(super) fn lacks_head_dim(&self, rope_type: &str) -> bool {
        self.family.needs_head_dim()
            && !self.names_head_dim
            && matches!(rope_type, "dynamic" | "yarn" | "longrope")
    }

    /// Whether these are short and long factors of a family that has the short ones at every length in transformers 5.
    pub(super) fn is_short_in_transformers(&self) -> bool {
        self.is_long_rope() && self.family.has_short_factors_in_transformers()
    }

    /// Whether a section is split by kind of layer, which the class of the family does not expect.
    pub(super) fn is_split(&self, section: Section) -> bool {
        let warned = |warning: &Warning| matches!(warning, Warning::SplitForOneRope { section: name, .. } if *name == section.name);
        self.warnings.iter().any(warned)
    }

    pub(super) fn is_long_rope(&self) -> bool {
        matches!(self.spec.scaling, RopeScaling::LongRope { .. })
    }

    /// Whether this is YaRN whose bounds are not rounded.
    pub(super) fn has_exact_bounds(&self) -> bool {
        matches!(
            self.spec.scaling,
            RopeScaling::Yarn {
                truncate: false,
                ..
            }
        )
    }

    pub(super) fn is_scaled(&self) -> bool {
        !matches!(self.spec.scaling, RopeScaling::None {})
    }

    /// The section that transformers 5 reads: `rope_scaling` if it holds anything, else `rope_parameters`, else what the class
    /// fills in. Where layers with a sliding window have a rope of their own, the part for the other layers, into which
    /// `rope_scaling` was merged.
    pub(super) fn section(&self) -> Option<Section<'_>> {
        if let Some(two) = &self.two_ropes {
            return Some(Section::part(two.name, two.full()));
        }
        let older = self.rope_scaling.filter(|section| !section.is_empty());
        let missing = || Some(&self.missing).filter(|keys| !keys.is_empty());
        older
            .or(self.rope_parameters)
            .or_else(|| Some(Section::part(ROPE_PARAMETERS, missing()?)))
    }

    /// A number of that section.
    pub(super) fn number(&self, key: &str) -> Option<f64> {
        self.section()?.number(key)
    }

    /// `original_max_position_embeddings` of that section.
    pub(super) fn inner_original(&self) -> Option<usize> {
        self.section()?.original()
    }

    /// Whether the config states the original context.
    pub(super) fn names_original(&self) -> bool {
        self.top_original.or(self.inner_original()).is_some()
    }

    /// The original context of transformers 5: that of the part where layers with a sliding window have a rope of their own.
    pub(super) fn original_in_transformers5(&self, section: Option<Section>) -> usize {
        if self.family.has_local_rope() {
            let inner = section.and_then(Section::original);
            return inner.unwrap_or(self.max_context);
        }
        self.original(section)
    }

    /// The original context of a runtime that prefers the top level. The class of Phi-3 has a default.
    pub(super) fn original(&self, section: Option<Section>) -> usize {
        let default = self.is_phi3().then_some(PHI3_ORIGINAL);
        let inner = || section.and_then(Section::original);
        self.top_original
            .or(default)
            .or_else(inner)
            .unwrap_or(self.max_context)
    }

    /// `max_position_embeddings / original_max_position_embeddings`.
    pub(super) fn ratio(&self) -> f64 {
        self.ratio_to(self.spec.original_context)
    }

    /// By how much the claimed context exceeds `original`.
    pub(super) fn ratio_to(&self, original: usize) -> f64 {
        self.max_context as f64 / original as f64
    }

    /// Whether the config has a rope section, but not where readers of version 4 look for it.
    pub(super) fn is_only_v5(&self) -> bool {
        self.rope_parameters.is_some() && self.rope_scaling.is_none_or(Section::is_empty)
    }

    /// Whether the two sections say different things.
    pub(super) fn sections_differ(&self) -> bool {
        self.conflicts
            .iter()
            .any(|conflict| conflict.between_sections)
    }
}
