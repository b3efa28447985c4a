//! What determines the angles in a runtime: factor sets, and a rule that chooses between them.

use serde::Serialize;

use super::switch::Switch;
use crate::{RopeScaling, RopeSpec};

/// The rules that determine the angles in a runtime.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rules {
    /// Base of the frequencies.
    pub theta: f64,
    /// The factor sets, the set for the shortest texts first.
    pub factors: Vec<FactorRow>,
    /// Which set a token uses.
    pub switch: Switch,
    /// Context used by default, in tokens; `None` if the runtime has no limit of its own.
    pub default_context: Option<usize>,
}

impl Rules {
    /// The rules of a runtime that computes what `spec` says, switching between its sets as `switch` says.
    pub(in crate::doctor) fn of(
        spec: &RopeSpec,
        switch: impl FnOnce(usize) -> Switch,
        default_context: Option<usize>,
    ) -> Self {
        let original = spec.original_context;
        let factors = match &spec.scaling {
            RopeScaling::None {} => vec![row(spec, "plain", original)],
            RopeScaling::DynamicNtk { .. } => {
                let longest = spec.max_context();
                vec![
                    row(spec, format!("up to {original}"), original),
                    row(spec, format!("at {longest}"), longest),
                ]
            }
            RopeScaling::LongRope { sets, .. } if sets.len() == 2 => ["short", "long"]
                .into_iter()
                .zip(sets)
                .map(|(name, set)| row(spec, name, set.max_context))
                .collect(),
            _ => vec![row(spec, "all", original)],
        };
        // Two sets that are equal are one: nothing changes at the border.
        let factors = match factors.as_slice() {
            [first, second] if first.is_same_as(second) => vec![row(spec, "all", original)],
            _ => factors,
        };
        let switch = if factors.len() > 1 {
            switch(original)
        } else {
            Switch::Never {}
        };
        Self {
            theta: spec.theta,
            factors,
            switch,
            default_context,
        }
    }
}

/// One factor set as the runtime applies it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FactorRow {
    /// `plain`, `all`, `short`, `long`, or the length they are for.
    pub name: String,
    /// The factor of the fastest pair.
    pub first: f64,
    /// The factor of the slowest pair.
    pub last: f64,
    /// The number that multiplies cos and sin.
    pub attention_scale: f64,
    /// The numbers that divide the plain frequencies, one per pair.
    #[serde(skip)]
    pub values: Vec<f64>,
}

impl FactorRow {
    pub(in crate::doctor) fn new(
        name: impl Into<String>,
        values: Vec<f64>,
        attention_scale: f64,
    ) -> Self {
        Self {
            name: name.into(),
            first: values.first().copied().unwrap_or(1.0),
            last: values.last().copied().unwrap_or(1.0),
            attention_scale,
            values,
        }
    }

    /// Whether it computes the same, whatever its name.
    fn is_same_as(&self, other: &Self) -> bool {
        let pairs = self.values.iter().zip(&other.values);
        let scales = (self.attention_scale - other.attention_scale).abs();
        scales < 1e-9 && pairs.into_iter().all(|(a, b)| (a / b - 1.0).abs() < 1e-9)
    }

    /// Whether all frequencies are plain.
    pub fn is_plain(&self) -> bool {
        self.values.iter().all(|factor| (factor - 1.0).abs() < 1e-9)
    }
}

/// The factors of a spec for a sequence of `total_tokens`.
pub(in crate::doctor) fn row(
    spec: &RopeSpec,
    name: impl Into<String>,
    total_tokens: usize,
) -> FactorRow {
    // Factors of a factor set are exact. Quotients of frequencies are rounded to remove rounding errors.
    let written = spec
        .factor_set(total_tokens)
        .map(|set| set.factors.as_slice().to_vec());
    let values = written.unwrap_or_else(|| {
        let plain = spec.plain().resolve(total_tokens);
        let scaled = spec.resolve(total_tokens);
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        pairs
            .map(|(plain, scaled)| (plain / scaled * 1e9).round() / 1e9)
            .collect()
    });
    FactorRow::new(name, values, spec.attention_scale(total_tokens))
}
