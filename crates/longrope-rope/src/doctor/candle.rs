//! candle.

use super::computed::{ANGLES, Computed};
use super::facts::{DEFAULT_THETA, Facts, Family};
use super::fixed::{fixed, plain};
use super::shared::{ignores_rope_parameters, top_theta};
use super::view::{FactorRow, Switch, Topic};

pub(super) const VERSION: &str = "0.11.0";
pub(super) const SOURCE: &str =
    "huggingface/candle 0.11.0 (2a13b0f3), candle-transformers/src/models";

/// What candle computes, or why it does not load the config.
///
/// Phi-3: `inv_freq = factor / theta^(2i/d)`, so it multiplies where all others divide; positions below the original
/// context use the short factors and later ones the long factors, in one sequence; there is no attention scale. LLaMA
/// knows llama3 only. Mistral and Qwen2 know no scaling. No model reads `rope_parameters`.
///
/// # Reference
/// `RotaryEmbedding::new` of `phi3.rs`, `Cache::new` of `llama.rs`, and the `Config` structs.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let computed = match facts.family {
        Family::Phi3 => ignores_rope_parameters(phi3(facts)?, facts),
        Family::Llama => ignores_rope_parameters(llama(facts)?, facts),
        _ => {
            let computed = Computed::new(plain(facts, top_theta(facts)?)?);
            ignores_rope_parameters(computed, facts).because(
                ANGLES,
                format!(
                    "has no scaling for `{}` models and computes plain RoPE",
                    facts.model_type
                ),
                "the extension is silently lost",
            )
        }
    };
    Ok(computed.by_default(facts.max_context))
}

fn phi3(facts: &Facts) -> Result<Computed, String> {
    let theta = top_theta(facts)?;
    let Some(section) = facts.rope_scaling else {
        return Ok(Computed::new(plain(facts, theta)?));
    };
    if section.text("type") != Some("longrope") {
        return Err("`type` of `rope_scaling` must be \"longrope\"".to_owned());
    }
    let border = facts.top_original.unwrap_or(facts.max_context);
    let switch = Switch::ByPosition { border };
    let mut rules = section.long_rope(facts.spec.n_pairs(), theta, (1.0, 1.0), switch)?;
    for row in &mut rules.factors {
        let inverse = row.values.iter().map(|factor| 1.0 / factor).collect();
        *row = FactorRow::new(row.name.clone(), inverse, 1.0);
    }
    let mut only_short = "";
    if border >= facts.max_context {
        rules.factors.truncate(1);
        rules.switch = Switch::Never {};
        if facts.top_original.is_none() {
            only_short = ", and uses only the short ones because there is no `original_max_position_embeddings` at the top level";
        }
    }
    Ok(Computed::new(rules)
        .having_chosen(facts, Some(section), "longrope")
        .because(
            &[Topic::Factors],
            format!("multiplies frequencies by the factors, where all others divide by them{only_short}"),
            "wrong angles wherever a factor is not 1",
        )
        .because(
            &[Topic::AttentionScale],
            "has no attention scale",
            "attention is softer than in training",
        )
        .because(
            &[Topic::Switch],
            "chooses the factors of each token by its position, in a table of the model's number type",
            "a long text mixes both sets in one sequence, and a bf16 table is too coarse for far positions",
        ))
}

fn llama(facts: &Facts) -> Result<Computed, String> {
    let theta = facts.top_theta.unwrap_or(DEFAULT_THETA);
    let Some(section) = facts.rope_scaling else {
        return Ok(Computed::new(plain(facts, theta)?));
    };
    let complete = section.llama3().is_ok() && section.original().is_some();
    let rope_type = section.text("rope_type").unwrap_or_default();
    let rules = match rope_type {
        "llama3" if complete => {
            let original = section.original().unwrap_or(facts.max_context);
            fixed(facts, theta, original, section.llama3()?)?
        }
        "default" if complete => plain(facts, theta)?,
        _ => {
            return Err(
                "`rope_scaling` of a LLaMA must be llama3 with `rope_type` and its four numbers"
                    .to_owned(),
            );
        }
    };
    Ok(Computed::new(rules)
        .having_chosen(facts, Some(section), rope_type)
        .because(
            &[Topic::Factors],
            "reads `original_max_position_embeddings` inside `rope_scaling`, where others prefer the top level",
            "the frequencies are blended differently",
        ))
}
