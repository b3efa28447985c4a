//! llama.cpp, with a GGUF made by `convert_hf_to_gguf.py`.

use serde_json::Value;

use super::computed::{ANGLES, Computed, scales};
use super::facts::{DEFAULT_THETA, Facts, Family};
use super::fixed::{fixed, plain};
use super::section::{Section, mscale_of, su};
use super::transformers4;
use super::view::{Switch, Topic};
use crate::hf::{ORIGINAL_POSITION, PHI3_ORIGINAL, ROPE_SCALING};

pub(super) const VERSION: &str = "0274f0fc";
pub(super) const SOURCE: &str =
    "ggml-org/llama.cpp 0274f0fc, conversion/llama.py; phi.py at 051139f5";

/// Where llama3 factors start when the top level does not say.
const LLAMA3_ORIGINAL: usize = 8192;

/// What llama.cpp computes.
///
/// The converter reads the config with transformers 4.57, or the bare JSON if that fails; both leave the section as it
/// is. It takes `rope_parameters` before `rope_scaling`. It writes the factors of longrope for the Phi-3 family only;
/// for other families it writes only the name of the type. The set is chosen by the number of tokens allocated for the
/// context. Attention is `su` of the ratio, or `0.1 ln s + 1` for YaRN, whose `attention_factor` is written but not
/// used. Dynamic NTK is not written. llama3 factors are made from the top level's original context, else 8192.
///
/// # Reference
/// `TextModel.set_gguf_parameters`, `LlamaModel.generate_extra_tensors` and `Phi3MiniModel.generate_extra_tensors` of the
/// converter; `llama_model::get_rope_factors`; `n_ctx = 0` in `common.h` for the default context.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let section = facts.rope_parameters.or(facts.rope_scaling);
    let theta = section.and_then(Section::theta).or(facts.top_theta);
    let theta = theta.unwrap_or(DEFAULT_THETA);
    let rope_type = section.and_then(|section| rope_type(facts, section));
    let rope_type = rope_type.unwrap_or("default");
    let computed = match section {
        None => Computed::new(plain(facts, theta)?),
        Some(section) if facts.is_phi3() => phi3(facts, theta, section, rope_type)?,
        Some(section) => scaled(facts, theta, section, rope_type)?,
    };
    Ok(computed
        .having_chosen(facts, section, rope_type)
        .by_default(facts.max_context))
}

/// The classes of LLaMA and Qwen2 copy `type` over `rope_type`, in the older section only.
fn rope_type<'a>(facts: &Facts, section: Section<'a>) -> Option<&'a str> {
    let copied =
        section.name == ROPE_SCALING && matches!(facts.family, Family::Llama | Family::Qwen2);
    let old = section.text("type").filter(|_| copied);
    old.or(section.rope_type())
}

/// The original context of the section, else of the top level.
fn original(facts: &Facts, section: Section) -> Result<usize, String> {
    let class = transformers4::rules(facts).is_ok() && facts.is_phi3();
    section
        .original()
        .or(facts.top_original)
        .or(class.then_some(PHI3_ORIGINAL))
        .ok_or_else(|| format!("its converter misses `{ORIGINAL_POSITION}` (KeyError)"))
}

fn scaled(
    facts: &Facts,
    theta: f64,
    section: Section,
    rope_type: &str,
) -> Result<Computed, String> {
    let has_factor = section.number("factor").is_some();
    match rope_type {
        "default" => Ok(Computed::new(plain(facts, theta)?)),
        "linear" if has_factor => {
            let rules = fixed(facts, theta, facts.max_context, section.linear()?)?;
            Ok(Computed::new(rules))
        }
        "yarn" if has_factor => yarn(facts, theta, section),
        "llama3" if matches!(facts.family, Family::Llama | Family::Mistral) => {
            let original = facts.top_original.unwrap_or(LLAMA3_ORIGINAL);
            let rules = fixed(facts, theta, original, section.llama3()?)?;
            Ok(Computed::new(rules).because(
                &[Topic::Factors],
                format!(
                    "its converter reads the original context of llama3 at the top level only, else takes {LLAMA3_ORIGINAL}"
                ),
                "the factors are for another original context",
            ))
        }
        "longrope" | "su" => Ok(Computed::new(plain(facts, theta)?).because(
            ANGLES,
            format!(
                "its converter writes the name of the type but no factors for `{}` models: plain RoPE, attention scale 1",
                facts.model_type
            ),
            "the extension is silently lost",
        )),
        other => lost(facts, theta, other),
    }
}

fn yarn(facts: &Facts, theta: f64, section: Section) -> Result<Computed, String> {
    let original = original(facts, section)?;
    let scale = section.needed("factor")?;
    let scaling = section.yarn_bounded(scale, mscale_of(scale, 1.0), true);
    let rules = fixed(facts, theta, original, scaling)?;
    let scales = scales(&rules);
    Ok(Computed::new(rules)
        .because_if(
            facts.has_exact_bounds(),
            &[Topic::Factors],
            "computes YaRN with rounded bounds",
            "`truncate` has no effect",
        )
        .because(
            &[Topic::Factors],
            format!(
                "takes {original} as the original context, from the section before the top level"
            ),
            "the frequencies are blended differently",
        )
        .because(
            &[Topic::AttentionScale],
            format!("computes YaRN with attention scale {scales}"),
            "`attention_factor` and `mscale` have no effect",
        ))
}

fn lost(facts: &Facts, theta: f64, rope_type: &str) -> Result<Computed, String> {
    Ok(Computed::new(plain(facts, theta)?).because(
        ANGLES,
        format!(
            "its converter writes nothing for this {rope_type} scaling of a `{}` model: plain RoPE",
            facts.model_type
        ),
        "the extension is silently lost",
    ))
}

fn phi3(facts: &Facts, theta: f64, section: Section, rope_type: &str) -> Result<Computed, String> {
    let original = original(facts, section)?;
    let factors = section.value("long_factor").and_then(Value::as_array);
    if factors.is_none_or(Vec::is_empty) {
        return lost(facts, theta, rope_type);
    }
    let ratio = facts.ratio_to(original);
    let attention = match rope_type {
        "su" | "longrope" => su(ratio, original),
        "yarn" => mscale_of(ratio, 1.0),
        other => {
            return Err(format!(
                "its converter does not know the type {other:?} (NotImplementedError)"
            ));
        }
    };
    let rules = section.long_rope(
        facts.spec.n_pairs(),
        theta,
        (attention, attention),
        Switch::ByAllocation { border: original },
    )?;
    let scales = scales(&rules);
    let max = facts.max_context;
    Ok(Computed::new(rules)
        .because(
            &[Topic::AttentionScale],
            format!("its converter computes the attention scale from max / original and writes {scales}"),
            "`attention_factor`, `short_mscale` and `long_mscale` have no effect",
        )
        .because_if(
            original >= max,
            &[Topic::Factors, Topic::Switch],
            format!("uses the long factors only in a context of more than {original} tokens, which `-c` must ask for"),
            "by default the long factors stay unused",
        )
        .because(
            &[Topic::Switch],
            format!(
                "chooses once by the allocated context ({max} tokens by default) and above {original} uses the long factors for all texts"
            ),
            "short texts lose quality in a large context",
        ))
}
