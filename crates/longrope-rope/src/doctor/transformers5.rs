//! Hugging Face transformers 5, and its reading of a config, which other runtimes share.

use super::computed::{Computed, scales};
use super::facts::Facts;
use super::fixed::{fixed, plain, spec};
use super::section::{Section, su};
use super::shared::per_forward;
use super::view::{FactorRow, Rules, Switch, Topic};
use crate::hf::ORIGINAL_POSITION;

pub(super) const VERSION: &str = "5.24.0";
pub(super) const SOURCE: &str =
    "huggingface/transformers 5.24.0, src/transformers/modeling_rope_utils.py";

/// `rope_parameters` after transformers 5 has read a config.
pub(super) struct Standard<'a> {
    /// The section, if there is one.
    pub(super) section: Option<Section<'a>>,
    /// The type by the name it has then.
    pub(super) rope_type: &'a str,
    /// Base of the frequencies.
    pub(super) theta: f64,
    /// The original context of `yarn`, `llama3` and `longrope`.
    pub(super) original: usize,
}

/// The section as transformers 5 standardizes it, or why the config class refuses it.
///
/// `rope_scaling` wins over `rope_parameters` unless it is empty, `rope_type` over `type`, the section's theta over the one
/// at the top level, and the original context at the top level over the section's. Phi-3 translates `su` to longrope,
/// but only after it has looked for types that need an original context: a config without one inside the section is
/// refused. Gemma 3 and OLMo 3 merge `rope_scaling` into the part for layers without a window, and take the original context
/// of that part.
///
/// # Reference
/// `convert_rope_params_to_dict`, `standardize_rope_params`, `_validate_*_rope_parameters`, and `Phi3Config`.
pub(super) fn standardize<'a>(facts: &'a Facts<'_>) -> Result<Standard<'a>, String> {
    let section = facts.section();
    let theta = section.and_then(Section::theta).or(facts.top_theta);
    let theta = theta.unwrap_or(facts.family.default_theta());
    let original = facts.original_in_transformers5(section);
    let Some(section) = section else {
        return Ok(Standard {
            section: None,
            rope_type: "default",
            theta,
            original,
        });
    };
    if facts.is_split(section) {
        return Err(format!(
            "`{}` is split by layer type, but the model has one RoPE (KeyError)",
            section.name
        ));
    }
    let mut rope_type = section.rope_type().unwrap_or("default");
    if facts.is_phi3() {
        if rope_type == "su" && !section.has(ORIGINAL_POSITION) {
            return Err(format!(
                "Phi-3 renames \"su\" to longrope too late and then misses `original_max_position_embeddings` in `{}` (KeyError)",
                section.name
            ));
        }
        if matches!(rope_type, "su" | "yarn") {
            rope_type = "longrope";
        }
    }
    let needs: &[&str] = match rope_type {
        "linear" | "dynamic" | "yarn" => &["factor"],
        "llama3" => &["factor", "low_freq_factor", "high_freq_factor"],
        "longrope" => &["short_factor", "long_factor"],
        _ => &[],
    };
    if let Some(key) = needs.iter().find(|key| !section.has(key)) {
        return Err(section.missing(key));
    }
    if facts.is_phi3() && !matches!(rope_type, "default" | "longrope") {
        return Err("a Phi-3 config loads only the type longrope (ValueError)".to_owned());
    }
    Ok(Standard {
        section: Some(section),
        rope_type,
        theta,
        original,
    })
}

/// What transformers 5 computes, or why it does not load the config.
///
/// An explicit `factor` wins over the ratio; `short_mscale` and `long_mscale` are not read. `su` is known to Phi-3
/// only.
///
/// # Reference
/// `_compute_*_parameters` and `longrope_frequency_update`; the cache is cut in `prepare_inputs_for_generation` of Phi-3.
/// The numbers were compared with the released code.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let standard = standardize(facts)?;
    let theta = standard.theta;
    let Some(section) = standard.section else {
        return Ok(Computed::new(plain(facts, theta)?));
    };
    if facts.lacks_head_dim(standard.rope_type) {
        return Err(format!(
            "its {} needs `head_dim` as a number in a `{}` config (TypeError)",
            standard.rope_type, facts.model_type
        ));
    }
    let switch = |border| Switch::PerForward {
        border,
        recomputes_cache: facts.is_phi3(),
    };
    let computed = match standard.rope_type {
        "default" => Computed::new(plain(facts, theta)?),
        "linear" => Computed::new(fixed(facts, theta, facts.max_context, section.linear()?)?),
        "dynamic" => {
            let spec = spec(facts, theta, facts.max_context, section.dynamic()?)?;
            Computed::new(Rules::of(&spec, switch, None))
        }
        "yarn" => Computed::new(yarn(facts, &standard, section)?),
        "llama3" => Computed::new(fixed(facts, theta, standard.original, section.llama3()?)?),
        "longrope" if facts.is_short_in_transformers() => short_only(facts, switch),
        "longrope" => {
            let original = standard.original;
            let scale = section
                .number("factor")
                .unwrap_or_else(|| facts.ratio_to(original));
            let attention = section
                .number("attention_factor")
                .unwrap_or_else(|| su(scale, original));
            let rules = section.long_rope(
                facts.spec.n_pairs(),
                theta,
                (attention, attention),
                switch(original),
            )?;
            attention_reason(Computed::new(rules), facts, section)
        }
        other => {
            return Err(format!("it does not know the type {other:?} (KeyError)"));
        }
    };
    Ok(per_forward(computed, facts))
}

/// The short factors at every length, with the attention scales of both sets.
fn short_only(facts: &Facts, switch: impl FnOnce(usize) -> Switch) -> Computed {
    let mut rules = Rules::of(&facts.spec, switch, None);
    if let [short, long] = rules.factors.as_mut_slice() {
        *long = FactorRow::new("long", short.values.clone(), long.attention_scale);
    }
    Computed::new(rules).because(
        &[Topic::Factors],
        format!(
            "uses `short_factor` at every length for `{}` models",
            facts.model_type
        ),
        "the extension is lost there; the code that was published with such models uses the long factors, as we do",
    )
}

/// YaRN with the numbers of transformers 5: `factor`, else the ratio; `attention_factor`, else from `mscale`.
pub(super) fn yarn(facts: &Facts, standard: &Standard, section: Section) -> Result<Rules, String> {
    let original = standard.original;
    let scale = section
        .number("factor")
        .unwrap_or_else(|| facts.ratio_to(original));
    let attention = section
        .number("attention_factor")
        .unwrap_or_else(|| section.yarn_attention(scale));
    fixed(
        facts,
        standard.theta,
        original,
        section.yarn(scale, attention),
    )
}

fn attention_reason(computed: Computed, facts: &Facts, section: Section) -> Computed {
    let scales = scales(&computed.rules);
    let mscale = section
        .value("short_mscale")
        .or(section.value("long_mscale"));
    if mscale.is_some() {
        return computed.because(
            &[Topic::AttentionScale],
            format!("does not read `short_mscale` and `long_mscale` and uses {scales}"),
            "vLLM, SGLang and we use them: attention is sharper or softer there",
        );
    }
    let ratio = facts.ratio();
    computed.because(
        &[Topic::AttentionScale],
        format!(
            "attention scale {scales} from `factor` {}; max / original is {ratio}, which version 4 takes",
            section.number("factor").unwrap_or(ratio)
        ),
        "the losses of the two versions differ",
    )
}
