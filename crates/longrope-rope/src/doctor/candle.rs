//! candle.

use serde_json::Value;

use super::facts::{DEFAULT_THETA, Explanation, Facts, Family, because, ignores_rope_parameters};
use super::view::{Rules, Switch, Topic};
use crate::{RescaleFactors, RopeScaling, RopeSpec};

pub(super) const SOURCE: &str =
    "huggingface/candle 2a13b0f3f models/phi3.rs; llama.rs, mistral.rs, qwen2.rs of unknown commit";

/// What candle computes, or why it does not load the config.
///
/// Phi-3: `inv_freq = factor / theta^(2i/d)`, so it multiplies where all others divide; positions below the original context
/// use the short factors and later ones the long factors, in one sequence; there is no attention scale. LLaMA knows llama3
/// only. Mistral and Qwen2 know no scaling. No model reads `rope_parameters`.
///
/// # Reference
/// `candle-transformers/src/models/phi3.rs` lines 60-130 at 2a13b0f3f, and the `Config` structs beside it.
pub(super) fn rules(facts: &Facts) -> Result<Rules, String> {
    let mut spec = match facts.family {
        Family::Phi3 => phi3(facts)?,
        Family::Llama => llama(facts)?,
        Family::Mistral | Family::Qwen2 => facts.spec.plain(),
    };
    spec.theta = match (facts.top_theta, facts.family) {
        (Some(theta), _) => theta,
        (None, Family::Llama) => DEFAULT_THETA,
        (None, _) => return Err("there is no `rope_theta` at the top level".to_owned()),
    };
    Ok(Rules::of(
        &spec,
        |border| Switch::ByPosition { border },
        Some(facts.max_context),
    ))
}

fn phi3(facts: &Facts) -> Result<RopeSpec, String> {
    let Some(section) = facts.rope_scaling else {
        return Ok(facts.spec.plain());
    };
    if section.get("type").and_then(Value::as_str) != Some("longrope") {
        return Err("`type` of `rope_scaling` must be \"longrope\"".to_owned());
    }
    let mut spec = facts.with_attention(1.0);
    if let RopeScaling::LongRope { sets, .. } = &mut spec.scaling {
        if facts.top_original.is_none() {
            sets.truncate(1);
        }
        for set in sets {
            let inverse: Vec<f64> = set
                .factors
                .as_slice()
                .iter()
                .map(|factor| 1.0 / factor)
                .collect();
            // The inverse of a factor is a factor, except at the extremes of f64.
            set.factors = RescaleFactors::new(inverse)
                .map_err(|_| "a factor is too small to be inverted".to_owned())?;
        }
    }
    Ok(spec)
}

fn llama(facts: &Facts) -> Result<RopeSpec, String> {
    let Some(section) = facts.rope_scaling else {
        return Ok(facts.spec.plain());
    };
    let keys = [
        "factor",
        "low_freq_factor",
        "high_freq_factor",
        "original_max_position_embeddings",
    ];
    let complete = keys.iter().all(|key| section.contains_key(*key));
    match section.get("rope_type").and_then(Value::as_str) {
        Some("llama3") if complete => Ok(RopeSpec {
            original_context: facts
                .inner_original()
                .unwrap_or(facts.spec.original_context),
            ..facts.spec.clone()
        }),
        Some("default") if complete => Ok(facts.spec.plain()),
        _ => Err(
            "`rope_scaling` of a LLaMA must be llama3 with `rope_type` and its four numbers"
                .to_owned(),
        ),
    }
}

pub(super) fn explain(topic: Topic, facts: &Facts, rules: &Rules) -> Explanation {
    if facts.is_only_v5() {
        return ignores_rope_parameters(rules.theta);
    }
    if !facts.is_phi3() && facts.family != Family::Llama {
        return because(
            format!(
                "has no scaling for `{}` models and computes plain RoPE",
                facts.model_type
            ),
            "the extension is silently lost",
        );
    }
    match topic {
        Topic::Theta => because(
            format!(
                "looks for `rope_theta` at the top level only, finds none and takes {}",
                rules.theta
            ),
            "the model was not trained for these angles",
        ),
        Topic::Factors if facts.is_phi3() => {
            let stitched = if facts.top_original.is_none() {
                ", and uses only the short ones because there is no `original_max_position_embeddings` at the top level"
            } else {
                ""
            };
            because(
                format!(
                    "multiplies frequencies by the factors, where all others divide by them{stitched}"
                ),
                "wrong angles wherever a factor is not 1",
            )
        }
        Topic::AttentionScale => because(
            "has no attention scale",
            "attention is softer than in training",
        ),
        Topic::Switch => because(
            "chooses the factors of each token by its position, in a table of the model's number type",
            "a long text mixes both sets in one sequence, and a bf16 table is too coarse for far positions",
        ),
        _ => because(
            "reads `original_max_position_embeddings` inside `rope_scaling`, where others prefer the top level",
            "the frequencies are blended differently",
        ),
    }
}
