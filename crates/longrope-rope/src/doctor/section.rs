//! A rope section of a config, and the scalings that runtimes make of one.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::view::{FactorRow, Rules, Switch};
use crate::hf::Family;
use crate::hf::{ORIGINAL_POSITION, THETA};
use crate::{AttentionScale, RopeScaling};

/// `rope_scaling` or `rope_parameters`.
#[derive(Clone, Copy)]
pub(super) struct Section<'a> {
    pub(super) name: &'static str,
    map: &'a Map<String, Value>,
}

impl<'a> Section<'a> {
    /// The section of a config, if it is an object.
    pub(super) fn of(config: &'a Value, name: &'static str) -> Option<Self> {
        let map = config.get(name)?.as_object()?;
        Some(Self { name, map })
    }

    /// A part of a section.
    pub(super) fn part(name: &'static str, map: &'a Map<String, Value>) -> Self {
        Self { name, map }
    }

    /// The part for the layers that an extension is about, where a family has a rope of its own for other layers; empty
    /// without such a part.
    pub(super) fn of_full_layers(self, family: Family) -> Self {
        static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);
        Self {
            map: family.full_layers(self.map).unwrap_or(&NOTHING),
            ..self
        }
    }

    pub(super) fn len(self) -> usize {
        self.map.len()
    }

    pub(super) fn is_empty(self) -> bool {
        self.map.is_empty()
    }

    /// Whether the section has a key, even if its value is `null`.
    pub(super) fn has(self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn value(self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn number(self, key: &str) -> Option<f64> {
        self.value(key).and_then(Value::as_f64)
    }

    pub(super) fn text(self, key: &str) -> Option<&'a str> {
        self.value(key).and_then(Value::as_str)
    }

    pub(super) fn theta(self) -> Option<f64> {
        self.number(THETA)
    }

    /// `original_max_position_embeddings` of the section.
    pub(super) fn original(self) -> Option<usize> {
        count(self.value(ORIGINAL_POSITION))
    }

    /// The value of `rope_type`, else of `type`: the order of most runtimes.
    pub(super) fn rope_type(self) -> Option<&'a str> {
        self.text("rope_type").or(self.text("type"))
    }

    /// `type` and `rope_type`, if they differ.
    pub(super) fn types_differ(self) -> Option<(&'a str, &'a str)> {
        let types = (self.text("type")?, self.text("rope_type")?);
        (types.0 != types.1).then_some(types)
    }

    /// A number, or why the runtime stops without it.
    pub(super) fn needed(self, key: &str) -> Result<f64, String> {
        self.number(key).ok_or_else(|| self.missing(key))
    }

    pub(super) fn missing(self, key: &str) -> String {
        format!("`{}` has no `{key}` (KeyError)", self.name)
    }

    /// A list of factors, one per pair.
    fn factors(self, key: &str, n_pairs: usize) -> Result<Vec<f64>, String> {
        let list = self.value(key).and_then(Value::as_array);
        let list = list.ok_or_else(|| self.missing(key))?;
        let factors: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        match factors {
            Some(factors) if factors.len() == n_pairs => Ok(factors),
            _ => Err(format!("`{key}` is not a list of {n_pairs} numbers")),
        }
    }

    /// `linear` with the `factor` of the section.
    pub(super) fn linear(self) -> Result<RopeScaling, String> {
        let scale = self.needed("factor")?;
        Ok(RopeScaling::Linear { scale })
    }

    /// `dynamic` with the `factor` of the section.
    pub(super) fn dynamic(self) -> Result<RopeScaling, String> {
        let scale = self.needed("factor")?;
        Ok(RopeScaling::DynamicNtk { scale })
    }

    /// `llama3` with the three numbers of the section.
    pub(super) fn llama3(self) -> Result<RopeScaling, String> {
        Ok(RopeScaling::Llama3 {
            scale: self.needed("factor")?,
            low_freq_factor: self.needed("low_freq_factor")?,
            high_freq_factor: self.needed("high_freq_factor")?,
        })
    }

    /// `yarn` with a scale and an attention scale, and the other numbers of the section. 0 means "not given".
    pub(super) fn yarn(self, scale: f64, attention: f64) -> RopeScaling {
        self.yarn_bounded(scale, attention, self.rounds_bounds())
    }

    /// Whether the bounds of YaRN are rounded: unless `truncate` is there and not true. `null` is not.
    fn rounds_bounds(self) -> bool {
        let truncate = self.map.get("truncate");
        truncate.is_none_or(|value| *value == Value::Bool(true))
    }

    /// [`yarn`](Self::yarn) of a runtime that always or never rounds the bounds.
    pub(super) fn yarn_bounded(self, scale: f64, attention: f64, truncate: bool) -> RopeScaling {
        let or = |key, default| self.number(key).filter(|n| *n != 0.0).unwrap_or(default);
        RopeScaling::Yarn {
            scale,
            beta_fast: or("beta_fast", 32.0),
            beta_slow: or("beta_slow", 1.0),
            truncate,
            attention: AttentionScale::Constant { value: attention },
        }
    }

    /// The attention scale that transformers computes for YaRN. 0 means "not given".
    pub(super) fn yarn_attention(self, scale: f64) -> f64 {
        let given = |key| self.number(key).filter(|number| *number != 0.0);
        match (given("mscale"), given("mscale_all_dim")) {
            (Some(mscale), Some(all)) => mscale_of(scale, mscale) / mscale_of(scale, all),
            _ => mscale_of(scale, 1.0),
        }
    }

    /// Rules with the short and the long factors of the section, each with its attention scale.
    pub(super) fn long_rope(
        self,
        n_pairs: usize,
        theta: f64,
        (short, long): (f64, f64),
        switch: Switch,
    ) -> Result<Rules, String> {
        let row = |name: &str, attention| {
            let factors = self.factors(&format!("{name}_factor"), n_pairs)?;
            Ok::<FactorRow, String>(FactorRow::new(name, factors, attention))
        };
        Ok(Rules {
            theta,
            factors: vec![row("short", short)?, row("long", long)?],
            switch,
            default_context: None,
        })
    }
}

/// `0.1 m ln(s) + 1`, 1 for scales up to 1.
pub(super) fn mscale_of(scale: f64, mscale: f64) -> f64 {
    if scale <= 1.0 {
        1.0
    } else {
        0.1 * mscale * scale.ln() + 1.0
    }
}

/// The attention scale of LongRoPE models for a context that grew by `scale` from `original` tokens.
pub(super) fn su(scale: f64, original: usize) -> f64 {
    AttentionScale::Su {}.value(scale, original)
}

/// A count that may be spelled as a float.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts that matter were checked when the rope was read"
)]
pub(super) fn count(value: Option<&Value>) -> Option<usize> {
    let number = value?.as_f64()?;
    (number >= 0.0).then_some(number as usize)
}
