//! mistral.rs.

use super::computed::{ANGLES, Computed, scales};
use super::facts::{DEFAULT_THETA, Facts, Family};
use super::fixed::{fixed, plain};
use super::section::{Section, mscale_of, su};
use super::shared::{ignores_rope_parameters, per_forward, top_theta};
use super::view::{Switch, Topic};

pub(super) const VERSION: &str = "0.9.2";
pub(super) const SOURCE: &str =
    "EricLBuehler/mistral.rs 0.9.2 (9e922623), mistralrs-core/src/layers.rs";

/// What mistral.rs computes, or why it does not load the config.
///
/// LLaMA: `rope_scaling` with `rope_type` and `factor`: default, linear or llama3. Mistral: `rope_parameters` only:
/// default or YaRN with all its numbers. Qwen2: no scaling. Phi-3: longrope with `type`, chosen per forward pass; the
/// variant with `short_mscale` and `long_mscale` is never reached, because the one without matches first.
///
/// # Reference
/// `Config` of each model, `PhiRotaryEmbedding`, `PhiRopeScalingConfig`, `Llama3RotaryEmbedding`, `RotaryEmbedding::new_yarn`.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let computed = match facts.family {
        Family::Llama => ignores_rope_parameters(llama(facts)?, facts),
        Family::Mistral => mistral(facts)?,
        Family::Phi3 => ignores_rope_parameters(phi3(facts)?, facts),
        _ => Computed::new(plain(facts, top_theta(facts)?)?).because(
            ANGLES,
            "has no scaling for `qwen2` models and computes plain RoPE with the theta of the top level",
            "the extension is silently lost",
        ),
    };
    let computed = computed.by_default(facts.max_context);
    Ok(per_forward(computed, facts))
}

fn llama(facts: &Facts) -> Result<Computed, String> {
    let theta = top_theta(facts)?;
    let Some(section) = facts.rope_scaling else {
        return Ok(Computed::new(plain(facts, theta)?));
    };
    let rope_type = section.text("rope_type").unwrap_or_default();
    let rules = match rope_type {
        "default" => {
            section.needed("factor")?;
            plain(facts, theta)?
        }
        "linear" => fixed(facts, theta, facts.max_context, section.linear()?)?,
        "llama3" => {
            let original = section
                .original()
                .ok_or("llama3 needs its original context")?;
            fixed(facts, theta, original, section.llama3()?)?
        }
        _ => {
            return Err(
                "`rope_type` of a LLaMA must be default, linear or llama3, with a `factor`"
                    .to_owned(),
            );
        }
    };
    Ok(Computed::new(rules)
        .having_chosen(facts, Some(section), rope_type)
        .because(
            &[Topic::Factors],
            "reads the original context inside `rope_scaling`, where others prefer the top level",
            "the frequencies are blended differently",
        ))
}

fn mistral(facts: &Facts) -> Result<Computed, String> {
    let Some(section) = facts.rope_parameters else {
        let theta = facts.top_theta.unwrap_or(DEFAULT_THETA);
        let ignored = "does not read `rope_scaling` of a Mistral and computes plain RoPE";
        return Ok(Computed::new(plain(facts, theta)?).because(
            ANGLES,
            ignored,
            "the extension is silently lost",
        ));
    };
    let theta = section
        .theta()
        .ok_or("`rope_parameters` of a Mistral must hold `rope_theta`")?;
    let rope_type = section.text("rope_type").unwrap_or("default");
    let computed = match rope_type {
        "default" => Computed::new(plain(facts, theta)?).because(
            ANGLES,
            "reads only `rope_parameters`, whose `rope_type` is default",
            "the extension is silently lost",
        ),
        "yarn" => {
            let needed = |key| {
                let number = section.number(key);
                number.ok_or_else(|| format!("its YaRN needs `{key}`"))
            };
            let scale = needed("factor")?;
            needed("beta_fast")?;
            needed("beta_slow")?;
            let original = section
                .original()
                .ok_or("its YaRN needs the original context")?;
            let mscale = section.number("mscale").unwrap_or(1.0);
            let all = section.number("mscale_all_dim").unwrap_or(0.0);
            let attention = mscale_of(scale, mscale) / mscale_of(scale, all);
            let scaling = section.yarn_bounded(scale, attention, true);
            let rules = fixed(facts, theta, original, scaling)?;
            let scales = scales(&rules);
            Computed::new(rules).because(
                ANGLES,
                format!("computes YaRN with rounded bounds, the original context {original} of the section and attention scale {scales}"),
                "`attention_factor` and `truncate` have no effect",
            )
        }
        other => {
            return Err(format!("it does not know the type {other:?} for a Mistral"));
        }
    };
    Ok(computed.having_chosen(facts, Some(section), rope_type))
}

fn phi3(facts: &Facts) -> Result<Computed, String> {
    let theta = top_theta(facts)?;
    let original = facts
        .top_original
        .ok_or("it needs `original_max_position_embeddings` at the top level")?;
    let Some(section) = facts.rope_scaling else {
        return Ok(Computed::new(plain(facts, theta)?));
    };
    let ratio = facts.ratio_to(original);
    let rope_type = section.text("type").unwrap_or_default();
    let attention = match rope_type {
        "longrope" | "su" => su(ratio, original),
        "yarn" => mscale_of(ratio, 1.0),
        _ => {
            return Err("`rope_scaling` of Phi-3 must hold `type` \"longrope\", `short_factor` and `long_factor`".to_owned());
        }
    };
    let rules = long_rope(facts, section, theta, original, attention)?;
    let scales = scales(&rules.rules);
    Ok(rules
        .having_chosen(facts, Some(section), rope_type)
        .because(
            &[Topic::AttentionScale],
            format!("computes the attention scale from max / original and uses {scales}"),
            "`attention_factor`, `factor`, `short_mscale` and `long_mscale` have no effect",
        ))
}

fn long_rope(
    facts: &Facts,
    section: Section,
    theta: f64,
    border: usize,
    attention: f64,
) -> Result<Computed, String> {
    let switch = Switch::PerForward {
        border,
        recomputes_cache: false,
    };
    let n_pairs = facts.spec.n_pairs();
    let rules = section.long_rope(n_pairs, theta, (attention, attention), switch)?;
    Ok(Computed::new(rules))
}
