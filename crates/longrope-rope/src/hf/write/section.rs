//! The rope section of a config, before it is written in two spellings.

use serde_json::{Map, Value, json};

use crate::hf::attention::same;
use crate::hf::keys::{ORIGINAL_POSITION, PARTIAL, THETA};
use crate::hf::long_rope::{MSCALES, ShortAndLong, degrade};
use crate::{
    AnglePrecision, AttentionScale, Error, Result, RopeScaling, RopeSpec, Warning, inv_freq,
};

/// The values that both spellings share.
pub(super) struct WrittenSection {
    pub(super) rope_type: &'static str,
    pub(super) theta: f64,
    pub(super) max_context: usize,
    pub(super) entries: Map<String, Value>,
    /// Whether a reader that computes the attention scale itself gets the right one.
    pub(super) default_attention: bool,
}

impl WrittenSection {
    /// The value of `rope_scaling`, with the `other` keys of the class. `only_factors` if the class accepts nothing else.
    pub(super) fn for_transformers4(
        &self,
        only_factors: bool,
        other: &Map<String, Value>,
    ) -> Value {
        if self.rope_type == "default" {
            return Value::Null;
        }
        let mut keys = self.entries.clone();
        if only_factors {
            keys.retain(|key, _| key == "short_factor" || key == "long_factor");
            keys.shift_insert(0, "type".to_owned(), json!(self.rope_type));
        } else {
            keys.shift_insert(0, "type".to_owned(), json!(self.rope_type));
            keys.shift_insert(1, "rope_type".to_owned(), json!(self.rope_type));
        }
        keys.extend(other.clone());
        Value::Object(keys)
    }

    /// The keys of `rope_parameters`, with the `other` keys of the class.
    pub(super) fn for_transformers5(
        self,
        partial: Option<f64>,
        other: Map<String, Value>,
    ) -> Map<String, Value> {
        let mut keys = Map::new();
        keys.insert("rope_type".to_owned(), json!(self.rope_type));
        keys.insert(THETA.to_owned(), json!(self.theta));
        if let Some(partial) = partial {
            keys.insert(PARTIAL.to_owned(), json!(partial));
        }
        keys.extend(self.entries);
        keys.extend(other);
        keys
    }

    /// This section with another type, which has these entries.
    fn typed(
        self,
        rope_type: &'static str,
        entries: impl IntoIterator<Item = (&'static str, Value)>,
    ) -> Self {
        let entries = entries.into_iter();
        Self {
            rope_type,
            entries: entries
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
            ..self
        }
    }
}

/// What is written for a spec and a context of `target_context` tokens.
pub(super) fn section(
    spec: &RopeSpec,
    target_context: usize,
    warnings: &mut Vec<Warning>,
) -> Result<WrittenSection> {
    let original_context = spec.original_context;
    let plain = WrittenSection {
        rope_type: "default",
        theta: spec.theta,
        max_context: target_context,
        entries: Map::new(),
        default_attention: true,
    };
    let numbers = numbers(&spec.scaling, original_context);
    Ok(match &spec.scaling {
        RopeScaling::None {} => plain,
        RopeScaling::NtkAware { scale } => {
            let theta = inv_freq::ntk_theta(spec.base(AnglePrecision::F64), *scale);
            warnings.push(Warning::WrittenAsTheta { theta });
            WrittenSection { theta, ..plain }
        }
        RopeScaling::Theta { theta } => WrittenSection {
            theta: *theta,
            ..plain
        },
        // The latter was replaced by factors.
        RopeScaling::SelfExtend { .. } | RopeScaling::Drope { .. } => {
            return Err(Error::NoConfigKey {
                scaling: spec.scaling.name(),
            });
        }
        RopeScaling::Linear { .. } => plain.typed("linear", numbers),
        RopeScaling::DynamicNtk { .. } => {
            if target_context != original_context {
                warnings.push(Warning::MaxPositionKept {
                    original_context,
                    target_context,
                });
            }
            WrittenSection {
                max_context: original_context,
                ..plain.typed("dynamic", numbers)
            }
        }
        RopeScaling::Yarn { scale, .. } => {
            let ratio = target_context as f64 / original_context as f64;
            warn_of_scale(*scale, ratio, warnings);
            plain.typed("yarn", numbers)
        }
        RopeScaling::Llama3 { .. } => plain.typed("llama3", numbers),
        RopeScaling::LongRope { sets, attention } => {
            let chosen = degrade(spec, sets, *attention, target_context, warnings)?;
            long_rope(plain, &chosen, original_context)
        }
    })
}

/// The numbers of a scaling by their keys, if it is written with numbers.
fn numbers(scaling: &RopeScaling, original_context: usize) -> Vec<(&'static str, Value)> {
    match scaling {
        RopeScaling::Linear { scale } | RopeScaling::DynamicNtk { scale } => {
            vec![("factor", json!(scale))]
        }
        RopeScaling::Yarn {
            scale,
            beta_fast,
            beta_slow,
            truncate,
            attention,
        } => vec![
            ("factor", json!(scale)),
            (ORIGINAL_POSITION, json!(original_context)),
            ("beta_fast", json!(beta_fast)),
            ("beta_slow", json!(beta_slow)),
            ("truncate", json!(truncate)),
            (
                "attention_factor",
                json!(attention.value(*scale, original_context)),
            ),
        ],
        RopeScaling::Llama3 {
            scale,
            low_freq_factor,
            high_freq_factor,
        } => vec![
            ("factor", json!(scale)),
            ("low_freq_factor", json!(low_freq_factor)),
            ("high_freq_factor", json!(high_freq_factor)),
            (ORIGINAL_POSITION, json!(original_context)),
        ],
        RopeScaling::None {}
        | RopeScaling::NtkAware { .. }
        | RopeScaling::Theta { .. }
        | RopeScaling::SelfExtend { .. }
        | RopeScaling::Drope { .. }
        | RopeScaling::LongRope { .. } => Vec::new(),
    }
}

/// The section of short and long factors, for the context of the `plain` one.
fn long_rope(
    plain: WrittenSection,
    chosen: &ShortAndLong,
    original_context: usize,
) -> WrittenSection {
    let scale = plain.max_context as f64 / original_context as f64;
    let default = AttentionScale::Su {}.value(scale, original_context);
    let default_attention =
        same(chosen.short_attention, default) && same(chosen.long_attention, default);
    let entries = [
        ("short_factor", json!(chosen.short)),
        ("long_factor", json!(chosen.long)),
        // The attention scale does not come from it, but transformers warns if it is missing.
        ("factor", json!(scale)),
        (ORIGINAL_POSITION, json!(original_context)),
        ("attention_factor", json!(chosen.long_attention)),
    ];
    let mut section = plain.typed("longrope", entries);
    if !default_attention {
        let mscales = [chosen.short_attention, chosen.long_attention];
        for (key, scale) in MSCALES.into_iter().zip(mscales) {
            section.entries.insert(key.to_owned(), json!(scale));
        }
    }
    WrittenSection {
        default_attention,
        ..section
    }
}

/// Warns if YaRN's scale is not the ratio of the contexts.
fn warn_of_scale(scale: f64, ratio: f64, warnings: &mut Vec<Warning>) {
    if !same(scale, ratio) {
        warnings.push(Warning::FactorDisagrees {
            factor: scale,
            ratio,
            used: scale,
        });
    }
}
