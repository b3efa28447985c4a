//! vLLM.

use super::facts::{Explanation, Facts, because};
use super::transformers;
use super::view::{Rules, Switch, Topic, row, scales};
use crate::hf::PHI3_ORIGINAL;
use crate::{AttentionScale, RopeScaling};

pub(super) const SOURCE: &str =
    "vllm-project/vllm 926c71f rotary_embedding/__init__.py, 63c2b7a phi3_long_rope_scaled_rope.py";

/// What vLLM computes.
///
/// longrope: one choice at load, `max_model_len > original`; attention `su` of the ratio unless `short_mscale` and
/// `long_mscale` are given. YaRN reads `attn_factor`, not `attention_factor`. Dynamic NTK is fixed for the longest context.
///
/// # Reference
/// `get_rope` at 926c71f, `Phi3LongRoPEScaledRotaryEmbedding` at 63c2b7a, `YaRNScalingRotaryEmbedding`
/// and `DynamicNTKScalingRotaryEmbedding`; the default context is `_get_and_verify_max_len`, copies of unknown commit.
pub(super) fn rules(facts: &Facts) -> Result<Rules, String> {
    // It reads the config with transformers.
    transformers::v5(facts)?;
    if facts.is_yarn() && facts.number("factor").is_none() {
        return Err("YaRN needs `factor`".to_owned());
    }
    let mut spec = facts.spec.clone();
    if let RopeScaling::DynamicNtk { .. } = spec.scaling {
        let longest = spec.max_context();
        return Ok(Rules {
            theta: spec.theta,
            factors: vec![row(&spec, format!("at {longest}"), longest)],
            switch: Switch::Never {},
            default_context: Some(longest),
        });
    }
    if facts.is_long_rope() {
        let su = facts.su(facts.ratio());
        spec = facts.with_attention(su);
        if let RopeScaling::LongRope { sets, .. } = &mut spec.scaling {
            for (set, key) in sets.iter_mut().zip(["short_mscale", "long_mscale"]) {
                set.attention = facts
                    .number(key)
                    .map(|value| AttentionScale::Constant { value });
            }
        }
    }
    if let RopeScaling::Yarn {
        scale, attention, ..
    } = &mut spec.scaling
    {
        let own = facts.number("attn_factor").unwrap_or(1.0);
        *attention = AttentionScale::Constant {
            value: own * AttentionScale::Yarn {}.value(*scale, facts.spec.original_context),
        };
    }
    let default_context = match &spec.scaling {
        RopeScaling::LongRope { .. } => long_rope_default(facts),
        RopeScaling::Yarn { .. } => spec.max_context(),
        RopeScaling::Linear { scale } => times(facts.max_context, *scale),
        _ => facts.max_context,
    };
    Ok(Rules::of(
        &spec,
        |border| Switch::AtLoad { border },
        Some(default_context),
    ))
}

/// The original context at the top level; vLLM ignores one inside the rope section.
fn long_rope_default(facts: &Facts) -> usize {
    let phi3 = facts.is_phi3().then_some(PHI3_ORIGINAL);
    facts.top_original.or(phi3).unwrap_or(facts.max_context)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a positive product is cut to tokens, as vLLM does"
)]
fn times(context: usize, scale: f64) -> usize {
    (context as f64 * scale) as usize
}

pub(super) fn explain(topic: Topic, facts: &Facts, rules: &Rules) -> Explanation {
    let default = rules.default_context.unwrap_or(facts.max_context);
    match topic {
        Topic::AttentionScale if facts.is_long_rope() => because(
            format!(
                "ignores `attention_factor` and `factor` of longrope and uses {} (it reads `short_mscale` and `long_mscale` instead)",
                scales(rules)
            ),
            "attention is sharpened differently than in training",
        ),
        Topic::AttentionScale => because(
            format!(
                "reads neither `attention_factor` nor `mscale` of YaRN, only `attn_factor`, and uses {}",
                scales(rules)
            ),
            "attention is sharpened differently than in training",
        ),
        Topic::Switch if facts.is_long_rope() => because(
            format!(
                "chooses once at load: a server with max_model_len above {} uses the long factors for every request",
                facts.spec.original_context
            ),
            "no cache is ever mixed, but short requests lose quality on a server for long ones",
        ),
        Topic::DefaultContext if facts.is_long_rope() => because(
            format!(
                "serves {default} tokens by default, but the config claims {}",
                facts.max_context
            ),
            "longer requests are refused, and the long factors stay unused",
        ),
        Topic::DefaultContext => because(
            format!(
                "serves {default} tokens by default, multiplying by `factor`; the config claims {}",
                facts.max_context
            ),
            "check which of the two the model was made for",
        ),
        _ => because(
            format!(
                "fixes dynamic NTK at load for {default} tokens, whatever the length of a request"
            ),
            "requests within the original context are rescaled, which other runtimes leave unscaled",
        ),
    }
}
