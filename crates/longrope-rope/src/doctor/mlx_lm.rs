//! mlx-lm.

use super::computed::{Computed, scales};
use super::facts::{DEFAULT_THETA, Facts, Family};
use super::fixed::{fixed, plain, spec};
use super::section::{Section, mscale_of, su};
use super::shared::{ignores_attention_factor, ignores_rope_parameters, per_forward};
use super::view::{Rules, Switch, Topic};
use crate::hf::ORIGINAL_POSITION;

pub(super) const VERSION: &str = "0.32.2";
pub(super) const SOURCE: &str = "ml-explore/mlx-lm 0.32.2, mlx_lm/models/rope_utils.py and phi3.py";

/// The default theta of its Qwen2.
const QWEN2_THETA: f64 = 1_000_000.0;
/// The original context of YaRN and llama3 if the section has none.
const YARN_ORIGINAL: usize = 4096;
const LLAMA3_ORIGINAL: usize = 8192;

/// What mlx-lm computes.
///
/// It reads `rope_scaling` only, and `type` before `rope_type`. longrope always uses the long factors, and needs its
/// original context inside the section, except for Phi-3, which reads the top level. Attention is `su` of the ratio.
/// YaRN rounds its bounds and computes attention from `mscale` (else 1) and `mscale_all_dim` (else 0).
///
/// # Reference
/// `initialize_rope`, `SuScaledRoPE`, `YarnRoPE`, `Llama3RoPE`, and `ModelArgs` of each model.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let default = match facts.family {
        Family::Qwen2 => QWEN2_THETA,
        _ => DEFAULT_THETA,
    };
    let theta = facts.top_theta.unwrap_or(default);
    let Some(section) = facts.rope_scaling else {
        let computed = Computed::new(plain(facts, theta)?);
        return Ok(ignores_rope_parameters(computed, facts));
    };
    let rope_type = section.text("type").or(section.text("rope_type"));
    let rope_type = rope_type.unwrap_or("default");
    let computed = if facts.is_phi3() {
        phi3(facts, theta, section)?
    } else {
        scaled(facts, theta, section, rope_type)?
    };
    let computed = computed.having_chosen(facts, Some(section), rope_type);
    Ok(per_forward(ignores_rope_parameters(computed, facts), facts))
}

fn scaled(
    facts: &Facts,
    theta: f64,
    section: Section,
    rope_type: &str,
) -> Result<Computed, String> {
    let max = facts.max_context;
    match rope_type {
        "default" => Ok(Computed::new(plain(facts, theta)?)),
        "linear" => Ok(Computed::new(fixed(facts, theta, max, section.linear()?)?)),
        "dynamic" => {
            let spec = spec(facts, theta, max, section.dynamic()?)?;
            let switch = |border| Switch::PerForward {
                border,
                recomputes_cache: false,
            };
            Ok(Computed::new(Rules::of(&spec, switch, None)))
        }
        "llama3" => {
            let original = section.original().unwrap_or(LLAMA3_ORIGINAL);
            let rules = fixed(facts, theta, original, section.llama3()?)?;
            Ok(inner_original(Computed::new(rules), original))
        }
        "yarn" => {
            let scale = section.needed("factor")?;
            let original = section.original().unwrap_or(YARN_ORIGINAL);
            let mscale = section.number("mscale").unwrap_or(1.0);
            let all = section.number("mscale_all_dim").unwrap_or(0.0);
            let attention = mscale_of(scale, mscale) / mscale_of(scale, all);
            let scaling = section.yarn_bounded(scale, attention, true);
            let computed = Computed::new(fixed(facts, theta, original, scaling)?).because_if(
                facts.has_exact_bounds(),
                &[Topic::Factors],
                "computes YaRN with rounded bounds",
                "`truncate` has no effect",
            );
            let computed = inner_original(computed, original);
            Ok(ignores_attention_factor(
                computed,
                "reads `mscale` and `mscale_all_dim` of YaRN, not `attention_factor`,",
            ))
        }
        "longrope" => {
            let original = section
                .original()
                .ok_or_else(|| section.missing(ORIGINAL_POSITION))?;
            always_long(facts, theta, section, original)
        }
        other => Err(format!("it does not know the type {other:?} (ValueError)")),
    }
}

fn inner_original(computed: Computed, original: usize) -> Computed {
    computed.because(
        &[Topic::Factors],
        format!(
            "takes the original context {original}; it reads only the one inside `rope_scaling`"
        ),
        "the frequencies are blended differently",
    )
}

fn phi3(facts: &Facts, theta: f64, section: Section) -> Result<Computed, String> {
    if section.is_empty() {
        return Ok(Computed::new(plain(facts, theta)?));
    }
    for key in ["type", "long_factor"] {
        if !section.has(key) {
            return Err(format!(
                "`rope_scaling` of Phi-3 must hold `{key}` (ValueError)"
            ));
        }
    }
    match section.text("type") {
        Some("longrope" | "su") => always_long(facts, theta, section, facts.original(None)),
        Some("linear") => {
            let rules = fixed(facts, theta, facts.max_context, section.linear()?)?;
            Ok(Computed::new(rules))
        }
        _ => Ok(Computed::new(plain(facts, theta)?).because(
            &[Topic::Factors, Topic::AttentionScale, Topic::Switch],
            "knows only \"longrope\", \"su\" and \"linear\" as `type` of a Phi-3, warns and computes plain RoPE",
            "the extension is lost",
        )),
    }
}

fn always_long(
    facts: &Facts,
    theta: f64,
    section: Section,
    original: usize,
) -> Result<Computed, String> {
    let attention = su(facts.ratio_to(original), original);
    let mut rules = section.long_rope(
        facts.spec.n_pairs(),
        theta,
        (attention, attention),
        Switch::AlwaysLong {},
    )?;
    rules.factors.remove(0);
    let scales = scales(&rules);
    Ok(Computed::new(rules)
        .because(
            &[Topic::Factors, Topic::Switch],
            "always uses the long factors and never the short ones",
            "no cache is ever mixed, but short texts lose quality",
        )
        .because(
            &[Topic::AttentionScale],
            format!("computes the attention scale from max / original and uses {scales}"),
            "`attention_factor`, `factor`, `short_mscale` and `long_mscale` have no effect",
        ))
}
