//! What a runtime makes of a RoPE that is written into a config.

use serde_json::{Map, Value};

use super::facts::Facts;
use super::runtimes::{computed_by, is_covered};
use super::view::{FactorRow, Rules, Runtime, Switch};
use crate::hf::language_model;
use crate::{
    AttentionScale, FactorSet, RescaleFactors, Result, RopeScaling, RopeSpec, write_hf_rope,
};

/// What a runtime makes of a RoPE.
#[derive(Clone, Debug, PartialEq)]
pub enum Taken {
    /// It computes this RoPE. A runtime that chooses a factor set once at load is taken to be loaded for the length of the
    /// sequence.
    Computes(RopeSpec),
    /// It loads no such config.
    Refused {
        /// Why it does not load.
        reason: String,
    },
    /// Its rules for this family of models were not read, or cannot be said as a RoPE.
    Unknown,
}

/// What `runtime` computes for the model of `config` once `spec` is written into it for `target` tokens.
///
/// The config is written by [`write_hf_rope`] and read by the rules of the runtime, so that everything lost on the way is
/// lost here too.
///
/// # Errors
/// The errors of [`write_hf_rope`] and [`read_hf_config`](crate::read_hf_config).
pub fn taken_by(
    runtime: Runtime,
    config: &Map<String, Value>,
    spec: &RopeSpec,
    target: usize,
) -> Result<Taken> {
    let mut written = config.clone();
    write_hf_rope(&mut written, spec, target)?;
    let language = Value::Object(language_model(&written).into_owned());
    let facts = Facts::new(&language)?;
    if !is_covered(runtime, &facts) {
        return Ok(Taken::Unknown);
    }
    Ok(match computed_by(runtime, &facts) {
        Ok(computed) => {
            as_rope(&computed.rules, &facts.spec, target).map_or(Taken::Unknown, Taken::Computes)
        }
        Err(reason) => Taken::Refused { reason },
    })
}

/// The rules of a runtime as factor sets: one for every length or, with a border, one on each side of it. `None` if
/// different tokens of one sequence use different sets.
fn as_rope(rules: &Rules, read: &RopeSpec, target: usize) -> Option<RopeSpec> {
    let border = match rules.switch {
        Switch::Never {} | Switch::AlwaysLong {} => None,
        Switch::ByPosition { .. } => return None,
        Switch::PerForward { border, .. }
        | Switch::ByRequestedLength { border }
        | Switch::AtLoad { border }
        | Switch::ByAllocation { border }
        | Switch::PerSequence { border } => Some(border),
    };
    let last = rules.factors.last()?;
    let mut sets = Vec::new();
    if let (Some(border), [first, _]) = (border, rules.factors.as_slice()) {
        sets.push(set(first, border)?);
    }
    let longest = border.map_or(target, |border| target.max(border + 1));
    sets.push(set(last, longest)?);
    let scaling = RopeScaling::LongRope {
        sets,
        attention: AttentionScale::None {},
    };
    RopeSpec::new(read.rotary_dim, rules.theta, read.original_context, scaling).ok()
}

fn set(row: &FactorRow, max_context: usize) -> Option<FactorSet> {
    Some(FactorSet {
        max_context,
        start_tokens: 0,
        factors: RescaleFactors::new(row.values.clone()).ok()?,
        attention: Some(AttentionScale::Constant {
            value: row.attention_scale,
        }),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Method;

    fn config(model_type: &str) -> Map<String, Value> {
        let config = json!({
            "model_type": model_type, "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
            "max_position_embeddings": 256, "rope_theta": 10000.0,
        });
        config.as_object().unwrap().clone()
    }

    fn long_rope() -> RopeSpec {
        let set = |max_context, last: f64| FactorSet {
            max_context,
            start_tokens: 0,
            factors: RescaleFactors::new((0..8).map(|i| 1.0 + last * f64::from(i)).collect())
                .unwrap(),
            attention: None,
        };
        let scaling = RopeScaling::LongRope {
            sets: vec![set(256, 0.1), set(1024, 0.5)],
            attention: AttentionScale::Constant { value: 1.3 },
        };
        RopeSpec::new(16, 1e4, 256, scaling).unwrap()
    }

    fn computed(runtime: Runtime, spec: &RopeSpec) -> RopeSpec {
        match taken_by(runtime, &config("llama"), spec, 1024).unwrap() {
            Taken::Computes(spec) => spec,
            other => panic!("{other:?}"),
        }
    }

    fn assert_same(a: &RopeSpec, b: &RopeSpec, length: usize) {
        let (a, b) = (a.resolve(length), b.resolve(length));
        for (a, b) in a.inv_freq().iter().zip(b.inv_freq()) {
            assert!((a / b - 1.0).abs() < 1e-8, "{length}: {a} {b}");
        }
        assert!((a.attention_scale() - b.attention_scale()).abs() < 1e-8);
    }

    #[test]
    fn runtimes_that_take_factors_compute_what_is_written() {
        for runtime in [Runtime::Transformers5, Runtime::Vllm] {
            for length in [256, 257, 1024] {
                assert_same(&computed(runtime, &long_rope()), &long_rope(), length);
            }
        }
        let yarn = Method::Yarn.spec(&long_rope().plain(), 1024).unwrap();
        let found = computed(Runtime::Transformers5, &yarn);
        assert_same(&found, &yarn, 100);
        assert_same(&found, &yarn, 1024);
    }

    #[test]
    fn a_runtime_with_one_set_uses_it_at_every_length() {
        let found = computed(Runtime::MlxLm, &long_rope());
        let own = AttentionScale::Su {}.value(4.0, 256);
        for length in [1, 1024] {
            let (found, truth) = (found.resolve(length), long_rope().resolve(1024));
            assert!((found.inv_freq()[7] / truth.inv_freq()[7] - 1.0).abs() < 1e-9);
            assert!((found.attention_scale() - own).abs() < 1e-9);
        }
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let taken = taken_by(Runtime::MlxLm, &config("qwen3"), &long_rope(), 1024).unwrap();
        assert_eq!(taken, Taken::Unknown);
        let dynamic = Method::DynamicNtk.spec(&long_rope().plain(), 1024).unwrap();
        let taken = taken_by(Runtime::Exllamav3, &config("llama"), &dynamic, 1024).unwrap();
        assert!(matches!(taken, Taken::Refused { .. }), "{taken:?}");
    }
}
