//! ONNX Runtime GenAI, with a model made by its builder.

use super::computed::{ANGLES, Computed, scales};
use super::facts::{Facts, Family};
use super::fixed::{fixed, plain};
use super::section::{Section, mscale_of, su};
use super::shared::per_forward;
use super::transformers5::{self, Standard};
use super::view::{Switch, Topic};

pub(super) const VERSION: &str = "0.18.0";
pub(super) const SOURCE: &str =
    "microsoft/onnxruntime-genai 0.18.0, models/builders/{base,llama,phi}.py";

/// What a model of ONNX Runtime GenAI computes, or why its builder stops.
///
/// The builder reads the config with transformers 5. LLaMA: llama3, everything else is dropped. Mistral and Qwen2:
/// linear and YaRN with both betas, without rounding its bounds; it stops at other types. Phi-3: longrope if the
/// claimed context is not the original one, chosen per forward pass; the cache is computed again for a batch of one.
///
/// # Reference
/// `make_rope_init` of the builders, `make_mscale`, `make_inv_freq_rescaled_with_ntk`, `create_model` and
/// `StandardDecodingStrategy::Step`.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let standard = transformers5::standardize(facts)?;
    let computed = match facts.family {
        Family::Llama => llama(facts, &standard)?,
        Family::Phi3 => phi3(facts, &standard)?,
        _ => base(facts, &standard)?,
    };
    Ok(per_forward(computed.by_default(facts.max_context), facts))
}

fn llama(facts: &Facts, standard: &Standard) -> Result<Computed, String> {
    let theta = standard.theta;
    match standard.section {
        Some(section) if standard.rope_type == "llama3" => {
            let rules = fixed(facts, theta, standard.original, section.llama3()?)?;
            Ok(Computed::new(rules))
        }
        _ => Ok(Computed::new(plain(facts, theta)?).because(
            ANGLES,
            format!(
                "its builder knows only llama3 for `llama` models and drops this {} scaling: plain RoPE",
                standard.rope_type
            ),
            "the extension is silently lost",
        )),
    }
}

fn base(facts: &Facts, standard: &Standard) -> Result<Computed, String> {
    let theta = standard.theta;
    let Some(section) = standard.section else {
        return Ok(Computed::new(plain(facts, theta)?));
    };
    match standard.rope_type {
        "default" => Ok(Computed::new(plain(facts, theta)?)),
        "linear" => {
            let rules = fixed(facts, theta, facts.max_context, section.linear()?)?;
            Ok(Computed::new(rules))
        }
        "yarn" => yarn(facts, standard, section),
        other => Err(format!(
            "its builder does not know the type {other:?} for `{}` models (NotImplementedError)",
            facts.model_type
        )),
    }
}

fn yarn(facts: &Facts, standard: &Standard, section: Section) -> Result<Computed, String> {
    let scale = section.needed("factor")?;
    for key in ["beta_fast", "beta_slow"] {
        if section.number(key).is_none_or(|beta| beta <= 0.0) {
            return Err(format!(
                "its builder divides by `{key}`, which `{}` lacks (ZeroDivisionError)",
                section.name
            ));
        }
    }
    let positive = |key| section.number(key).filter(|number| *number > 0.0);
    let attention = match (positive("mscale"), positive("mscale_all_dim")) {
        (Some(mscale), Some(all)) => mscale_of(scale, mscale) / mscale_of(scale, all),
        (Some(mscale), None) => mscale,
        _ => mscale_of(scale, 1.0),
    };
    let scaling = section.yarn_bounded(scale, attention, false);
    let rules = fixed(facts, standard.theta, standard.original, scaling)?;
    let scales = scales(&rules);
    Ok(Computed::new(rules)
        .because(
            &[Topic::Factors],
            "its builder does not round the bounds of YaRN",
            "the frequencies differ a little; `truncate` has no effect",
        )
        .because(
            &[Topic::AttentionScale],
            format!("its builder does not read `attention_factor` of YaRN and uses {scales}"),
            "attention is sharper or softer than in training",
        ))
}

fn phi3(facts: &Facts, standard: &Standard) -> Result<Computed, String> {
    let original = facts.original(None);
    if facts.max_context == original {
        if standard.rope_type != "default" {
            return Err(format!(
                "its builder does not know the type \"{}\" if the claimed context is the original one (NotImplementedError)",
                standard.rope_type
            ));
        }
        return Ok(Computed::new(plain(facts, standard.theta)?));
    }
    let section = standard
        .section
        .filter(|_| standard.rope_type == "longrope")
        .ok_or_else(|| {
            format!("its builder expects longrope, because the claimed context is not {original} (KeyError)")
        })?;
    let policy = section
        .text("type")
        .ok_or_else(|| section.missing("type"))?;
    let ratio = facts.ratio_to(original);
    let default = match policy {
        "longrope" | "su" => su(ratio, original),
        "yarn" => mscale_of(ratio, 1.0),
        _ => ratio,
    };
    let mscale = |key| {
        let number = section.number(key).filter(|number| *number > 0.0);
        number.unwrap_or(default)
    };
    let rules = section.long_rope(
        facts.spec.n_pairs(),
        standard.theta,
        (mscale("short_mscale"), mscale("long_mscale")),
        Switch::PerForward {
            border: original,
            recomputes_cache: true,
        },
    )?;
    let scales = scales(&rules);
    Ok(Computed::new(rules).because(
        &[Topic::AttentionScale],
        format!("its builder reads `short_mscale` and `long_mscale`, not `attention_factor`, and uses {scales}"),
        "attention is sharper or softer than in training",
    ))
}
