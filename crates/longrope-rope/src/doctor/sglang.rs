//! SGLang.

use super::computed::Computed;
use super::facts::{DUAL_CHUNK, Facts, Family};
use super::fixed::{fixed, plain, spec};
use super::section::{Section, mscale_of, su};
use super::shared::{ignores_attention_factor, more_by_default, per_forward, times};
use super::transformers5::{self, Standard};
use super::view::{Rules, Switch, Topic, row};

pub(super) const VERSION: &str = "0.5.23";
pub(super) const SOURCE: &str = "sgl-project/sglang 0.5.23, srt/layers/rotary_embedding/factory.py";

/// What SGLang computes.
///
/// It reads the config with transformers 5. longrope: per forward pass over the whole batch, above `original + 1`
/// tokens, because it compares the position and not the length. Attention as vLLM. YaRN reads `attn_factor`, not
/// `attention_factor`. Dynamic NTK is fixed for `factor` times the claimed context.
///
/// # Reference
/// `get_rope`, `Phi3LongRoPEScaledRotaryEmbedding.forward`, `YaRNScalingRotaryEmbedding`, `get_context_length`.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let standard = transformers5::standardize(facts)?;
    if facts.dual_chunk && facts.family == Family::Qwen2 {
        return Err(format!(
            "it rotates five queries per token for `{DUAL_CHUNK}`, which none of its attention backends accepts any more"
        ));
    }
    let theta = standard.theta;
    let max = facts.max_context;
    let Some(section) = standard.section else {
        return Ok(Computed::new(plain(facts, theta)?).by_default(max));
    };
    match standard.rope_type {
        "default" => Ok(Computed::new(plain(facts, theta)?).by_default(max)),
        "linear" => {
            let computed = Computed::new(fixed(facts, theta, max, section.linear()?)?);
            let default = by_factor(section, max)?;
            Ok(more_by_default(computed, facts, default))
        }
        "dynamic" => {
            let spec = spec(facts, theta, max, section.dynamic()?)?;
            let longest = times(max, section.needed("factor")?);
            let rules = Rules {
                theta,
                factors: vec![row(&spec, format!("at {longest}"), longest)],
                switch: Switch::Never {},
                default_context: None,
            };
            let computed = Computed::new(rules).because(
                &[Topic::Factors, Topic::Switch],
                format!("fixes dynamic NTK at load for {longest} tokens, whatever the length of a request"),
                "requests within the original context are rescaled, which other runtimes leave unscaled",
            );
            Ok(more_by_default(computed, facts, by_factor(section, max)?))
        }
        "yarn" => {
            let computed = yarn(facts, &standard, section)?;
            Ok(computed.by_default(max))
        }
        "llama3" => {
            let rules = fixed(facts, theta, standard.original, section.llama3()?)?;
            Ok(Computed::new(rules).by_default(max))
        }
        "longrope" => Ok(long_rope(facts, &standard, section)?.by_default(max)),
        other => Err(format!("it does not know the type {other:?} (ValueError)")),
    }
}

/// The default context of a section whose `factor` it multiplies in, which it does not beside an original context.
fn by_factor(section: Section, max: usize) -> Result<usize, String> {
    let factor = section.needed("factor")?;
    Ok(if section.original().is_some() {
        max
    } else {
        times(max, factor)
    })
}

fn yarn(facts: &Facts, standard: &Standard, section: Section) -> Result<Computed, String> {
    let scale = section.needed("factor")?;
    // Unlike transformers, it takes a 0 as given.
    let attention = match (section.number("mscale"), section.number("mscale_all_dim")) {
        (Some(mscale), Some(all)) => mscale_of(scale, mscale) / mscale_of(scale, all),
        _ => mscale_of(scale, 1.0),
    };
    let attention = attention * section.number("attn_factor").unwrap_or(1.0);
    let scaling = section.yarn(scale, attention);
    let rules = fixed(facts, standard.theta, standard.original, scaling)?;
    Ok(ignores_attention_factor(
        Computed::new(rules),
        "reads `attn_factor` of YaRN, not `attention_factor`,",
    ))
}

fn long_rope(facts: &Facts, standard: &Standard, section: Section) -> Result<Computed, String> {
    let original = standard.original;
    let su = su(facts.ratio_to(original), original);
    let mscale = |key| section.number(key).unwrap_or(su);
    let rules = section.long_rope(
        facts.spec.n_pairs(),
        standard.theta,
        (mscale("short_mscale"), mscale("long_mscale")),
        Switch::PerForward {
            border: original + 1,
            recomputes_cache: false,
        },
    )?;
    let computed = ignores_attention_factor(
        Computed::new(rules),
        "reads `short_mscale` and `long_mscale`, not `attention_factor` or `factor` of longrope,",
    );
    Ok(per_forward(computed, facts))
}
