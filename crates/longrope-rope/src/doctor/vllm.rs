//! vLLM.

use super::computed::Computed;
use super::facts::{DUAL_CHUNK, Facts, Family};
use super::fixed::{fixed, plain};
use super::section::{Section, su};
use super::shared::{ignores_attention_factor, more_by_default, times};
use super::transformers5::{self, Standard};
use super::view::{Switch, Topic};
use crate::hf::PHI3_ORIGINAL;

pub(super) const VERSION: &str = "0.33.0";
pub(super) const SOURCE: &str =
    "vllm-project/vllm 0.33.0, layers/rotary_embedding, config/model.py";

/// What vLLM computes.
///
/// It reads the config with transformers 5, translates `su`, and refuses a `type` that differs from `rope_type`.
/// longrope: one choice at load, `max_model_len > original`; attention `su` of the ratio unless `short_mscale` and
/// `long_mscale` are given. YaRN as transformers 5, for the claimed context. Dynamic NTK takes the claimed context both
/// as the length and as the trained length, so that nothing is scaled. Dual chunk attention has its rotary part, but no
/// attention any more.
///
/// # Reference
/// `get_rope`, `Phi3LongRoPEScaledRotaryEmbedding`, `YaRNScalingRotaryEmbedding`, `DynamicNTKScalingRotaryEmbedding`,
/// `patch_legacy_rope_type`, `_get_and_verify_max_len`, `Qwen2Attention`.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let standard = transformers5::standardize(facts)?;
    if facts.dual_chunk && facts.family == Family::Qwen2 {
        return Err(format!(
            "it builds dual chunk attention for `{DUAL_CHUNK}`, which none of its attention backends accepts any more (TypeError)"
        ));
    }
    let theta = standard.theta;
    let max = facts.max_context;
    let Some(section) = standard.section else {
        return Ok(Computed::new(plain(facts, theta)?).by_default(max));
    };
    conflict(&standard, section)?;
    match standard.rope_type {
        "default" => Ok(Computed::new(plain(facts, theta)?).by_default(max)),
        "linear" => {
            let computed = Computed::new(fixed(facts, theta, max, section.linear()?)?);
            let default = times(max, section.needed("factor")?);
            Ok(more_by_default(computed, facts, default))
        }
        "dynamic" => {
            let default = times(max, section.needed("factor")?);
            let computed = Computed::new(plain(facts, theta)?).because(
                &[Topic::Factors, Topic::Switch],
                format!("computes plain RoPE: it takes {max} as the length as well as the trained length"),
                format!("beyond {max} tokens nothing is scaled, and its table of angles ends there"),
            );
            Ok(more_by_default(computed, facts, default))
        }
        "yarn" => {
            section.needed("factor")?;
            let rules = transformers5::yarn(facts, &standard, section)?;
            Ok(Computed::new(rules).by_default(max))
        }
        "llama3" => {
            let rules = fixed(facts, theta, standard.original, section.llama3()?)?;
            Ok(Computed::new(rules).by_default(max))
        }
        "longrope" | "su" => long_rope(facts, &standard, section),
        other => Err(format!("it does not know the type {other:?} (ValueError)")),
    }
}

fn conflict(standard: &Standard, section: Section) -> Result<(), String> {
    // Phi-3's class has renamed `rope_type` by now, but not `type`.
    let new = match section.text("rope_type") {
        Some(written) if standard.rope_type != "longrope" => written,
        _ => standard.rope_type,
    };
    match section.text("type") {
        Some(old) if old != new && (old, new) != ("su", "longrope") => Err(format!(
            "`type` {old:?} and `rope_type` {new:?} contradict each other (ValueError)"
        )),
        _ => Ok(()),
    }
}

fn long_rope(facts: &Facts, standard: &Standard, section: Section) -> Result<Computed, String> {
    let original = standard.original;
    let su = su(facts.ratio_to(original), original);
    let mscale = |key| section.number(key).unwrap_or(su);
    let rules = section.long_rope(
        facts.spec.n_pairs(),
        standard.theta,
        (mscale("short_mscale"), mscale("long_mscale")),
        Switch::AtLoad { border: original },
    )?;
    // An original context inside the section does not count here.
    let phi3 = facts.is_phi3().then_some(PHI3_ORIGINAL);
    let default = facts.top_original.or(phi3).unwrap_or(facts.max_context);
    let computed = ignores_attention_factor(
        Computed::new(rules).by_default(default),
        "reads `short_mscale` and `long_mscale`, not `attention_factor` or `factor` of longrope,",
    );
    let unreachable = original >= facts.max_context;
    Ok(computed
        .because_if(
            unreachable,
            &[Topic::Factors, Topic::Switch],
            format!(
                "uses the short factors unless the server is allowed more than the {} tokens that the config claims",
                facts.max_context
            ),
            "the long factors stay unused",
        )
        .because(
            &[Topic::Switch],
            format!(
                "chooses once at load: a server with max_model_len above {original} uses the long factors for every request"
            ),
            "no cache is ever mixed, but short requests lose quality on a server for long ones",
        )
        .because(
            &[Topic::DefaultContext],
            format!(
                "serves {default} tokens by default, but the config claims {}",
                facts.max_context
            ),
            "longer requests are refused, and the long factors stay unused",
        ))
}
