//! Hugging Face transformers 4.

use super::computed::{ANGLES, Computed, scales};
use super::facts::{DEFAULT_THETA, Facts, Family};
use super::fixed::{fixed, plain, spec};
use super::section::{Section, su};
use super::shared::{ignores_rope_parameters, per_forward};
use super::view::{Rules, Switch, Topic};
use crate::hf::ORIGINAL_POSITION;

pub(super) const VERSION: &str = "4.57.6";
pub(super) const SOURCE: &str =
    "huggingface/transformers 4.57.6, src/transformers/modeling_rope_utils.py";

/// What transformers 4.57 computes, or why it does not load the config.
///
/// It knows `rope_scaling` only. LLaMA and Qwen2 copy `type` over `rope_type`; Mistral prefers `rope_type`. Phi-3
/// accepts exactly three keys. For longrope the original context is the one at the top level, which also replaces
/// `factor` by the ratio; YaRN and llama3 read the one in the section. A LLaMA knows no `su`.
///
/// # Reference
/// `_compute_*_parameters`, `_check_received_keys`, `longrope_frequency_update`, and for the Phi-3 family
/// `_rope_scaling_validation` and `prepare_inputs_for_generation`. The numbers were compared with the released code.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let theta = facts.top_theta.unwrap_or(DEFAULT_THETA);
    let Some(section) = facts.rope_scaling else {
        let computed = Computed::new(plain(facts, theta)?);
        return Ok(ignores_rope_parameters(computed, facts));
    };
    let rope_type = rope_type(facts, section)?;
    if facts.family == Family::Mistral
        && !facts.names_head_dim
        && matches!(rope_type, "dynamic" | "yarn" | "longrope")
    {
        return Err(format!(
            "its {rope_type} needs `head_dim` in a Mistral config (TypeError)"
        ));
    }
    let computed = match rope_type {
        "default" => Computed::new(plain(facts, theta)?),
        "linear" => Computed::new(fixed(facts, theta, facts.max_context, section.linear()?)?),
        "dynamic" => {
            let spec = spec(facts, theta, facts.max_context, section.dynamic()?)?;
            Computed::new(Rules::of(&spec, |border| per_length(border, false), None))
        }
        "yarn" => yarn(facts, theta, section)?,
        "llama3" => {
            let original = section
                .original()
                .ok_or_else(|| section.missing(ORIGINAL_POSITION))?;
            Computed::new(fixed(facts, theta, original, section.llama3()?)?).because(
                &[Topic::Factors],
                format!("takes the original context {original} of `rope_scaling`, where others prefer the top level"),
                "the frequencies are blended differently",
            )
        }
        "longrope" => long_rope(facts, theta, section)?,
        other => {
            return Err(format!("it does not know the type {other:?} (KeyError)"));
        }
    };
    let computed = computed.having_chosen(facts, Some(section), rope_type);
    Ok(per_forward(ignores_rope_parameters(computed, facts), facts))
}

fn rope_type<'a>(facts: &Facts, section: Section<'a>) -> Result<&'a str, String> {
    let (new, old) = (section.text("rope_type"), section.text("type"));
    match facts.family {
        Family::Phi3 => {
            let keys = ["type", "short_factor", "long_factor"];
            let known = matches!(old, Some("longrope" | "su" | "yarn"));
            if section.len() == keys.len() && keys.iter().all(|key| section.has(key)) && known {
                Ok("longrope")
            } else {
                Err("`rope_scaling` of Phi-3 must hold `type` \"longrope\", `short_factor`, `long_factor` and nothing else"
                    .to_owned())
            }
        }
        Family::Mistral => new.or(old).ok_or_else(|| no_type(section)),
        _ => old.or(new).ok_or_else(|| no_type(section)),
    }
}

fn no_type(section: Section) -> String {
    format!("`{}` names no type (KeyError)", section.name)
}

fn yarn(facts: &Facts, theta: f64, section: Section) -> Result<Computed, String> {
    let scale = section.needed("factor")?;
    let original = section.original().filter(|original| *original > 0);
    let original = original.unwrap_or(facts.max_context);
    let attention = section
        .number("attention_factor")
        .unwrap_or_else(|| section.yarn_attention(scale));
    let scaling = section.yarn(scale, attention);
    let computed = Computed::new(fixed(facts, theta, original, scaling)?);
    Ok(computed.because(
        &[Topic::Factors],
        format!("takes {original} as the original context of YaRN, from inside `rope_scaling`, else the claimed context"),
        "the frequencies are blended differently",
    ))
}

fn long_rope(facts: &Facts, theta: f64, section: Section) -> Result<Computed, String> {
    let named = facts.top_original.is_some() || facts.is_phi3();
    let original = if named {
        facts.original(None)
    } else {
        facts.max_context
    };
    let scale = if named {
        Some(facts.ratio_to(original))
    } else {
        section.number("factor")
    };
    let attention = match (section.number("attention_factor"), scale) {
        (Some(value), _) => value,
        (None, Some(scale)) => su(scale, original),
        (None, None) => {
            return Err(
                "it finds neither `original_max_position_embeddings` at the top level nor `factor` in `rope_scaling` \
                 (TypeError)"
                    .to_owned(),
            );
        }
    };
    let rules = section.long_rope(
        facts.spec.n_pairs(),
        theta,
        (attention, attention),
        per_length(original, facts.is_phi3()),
    )?;
    let scales = scales(&rules);
    Ok(Computed::new(rules)
        .because_if(
            !named && original != facts.spec.original_context,
            &ANGLES[1..],
            format!(
                "looks for `original_max_position_embeddings` at the top level only, finds none and takes {original}"
            ),
            "the long factors serve only texts that are longer than the config claims",
        )
        .because(
            &[Topic::AttentionScale],
            format!("takes max / original whatever `factor` says, does not read `short_mscale` and `long_mscale`, and uses {scales}"),
            "attention is sharper or softer than in training",
        ))
}

fn per_length(border: usize, recomputes_cache: bool) -> Switch {
    Switch::PerForward {
        border,
        recomputes_cache,
    }
}
