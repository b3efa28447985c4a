//! exllamav3.

use super::computed::{ANGLES, Computed, scales};
use super::facts::{DEFAULT_THETA, Facts};
use super::fixed::{fixed, plain};
use super::section::{Section, mscale_of, su};
use super::view::{Switch, Topic};

pub(super) const VERSION: &str = "1.4.1";
pub(super) const SOURCE: &str = "turboderp-org/exllamav3 1.4.1 (4f8ad012), exllamav3/util/rope.py";

/// The original context of llama3 if the section has none.
const LLAMA3_ORIGINAL: usize = 8192;

/// What exllamav3 computes.
///
/// It reads `rope_scaling`, else `rope_parameters`, `rope_type` before `type`, and knows `su`. longrope is chosen at
/// load by `max_position_embeddings`, for Phi-3 by the length that the caller asks for; attention is `su` of the ratio.
/// YaRN with an original context in the section replaces `factor` by max / original. Dynamic NTK is unknown.
///
/// # Reference
/// `RoPE._rope_params_*`, `Config.read_rope_settings_default`, `Phi3Config.override_dynamic_seq_len`.
pub(super) fn rules(facts: &Facts) -> Result<Computed, String> {
    let section = facts.rope_scaling.or(facts.rope_parameters);
    let inner = facts.rope_parameters.and_then(Section::theta);
    let theta = facts.top_theta.or(inner).unwrap_or(DEFAULT_THETA);
    let Some(section) = section else {
        return Ok(Computed::new(plain(facts, theta)?));
    };
    let rope_type = section.rope_type().unwrap_or("default");
    let max = facts.max_context;
    let computed = match rope_type {
        "default" => Computed::new(plain(facts, theta)?),
        "linear" => Computed::new(fixed(facts, theta, max, section.linear()?)?),
        "llama3" => {
            let original = section.original().unwrap_or(LLAMA3_ORIGINAL);
            Computed::new(fixed(facts, theta, original, section.llama3()?)?).because(
                &[Topic::Factors],
                format!("takes the original context {original}; it reads only the one inside the section"),
                "the frequencies are blended differently",
            )
        }
        "yarn" => yarn(facts, theta, section)?,
        "longrope" | "su" => long_rope(facts, theta, section)?,
        other => {
            return Err(format!("it does not know the type {other:?} (ValueError)"));
        }
    };
    Ok(computed
        .because_if(
            section.is_empty() && facts.rope_parameters.is_some(),
            ANGLES,
            "takes the empty `rope_scaling` and not `rope_parameters`, and computes plain RoPE",
            "the extension is silently lost",
        )
        .having_chosen(facts, Some(section), rope_type)
        .because_of_theta(
            facts,
            format!("takes theta {theta}: of the top level, else of `rope_parameters`"),
        ))
}

fn yarn(facts: &Facts, theta: f64, section: Section) -> Result<Computed, String> {
    let max = facts.max_context;
    let (original, scale) = match section.original() {
        Some(original) => (original, facts.ratio_to(original)),
        None => (max, section.needed("factor")?),
    };
    let attention = section
        .number("attention_factor")
        .unwrap_or_else(|| mscale_of(scale, 1.0));
    let rules = fixed(facts, theta, original, section.yarn(scale, attention))?;
    let scales = scales(&rules);
    let other = section
        .number("factor")
        .is_some_and(|factor| (factor - scale).abs() > 1e-9 * factor);
    Ok(Computed::new(rules)
        .because_if(
            facts.is_long_rope(),
            ANGLES,
            "computes YaRN: it does not know that a Phi-3 config means longrope by this name",
            "the short and long factors are not used",
        )
        .because_if(
            other,
            &[Topic::Factors, Topic::AttentionScale],
            format!("replaces `factor` of YaRN by max / original = {scale}"),
            "the context grows by another factor than the config says",
        )
        .because(
            &[Topic::Factors],
            format!(
                "takes {original} as the original context; it reads only the one inside the section"
            ),
            "the frequencies are blended differently",
        )
        .because(
            &[Topic::AttentionScale],
            format!("does not read `mscale` of YaRN and uses {scales}"),
            "attention is sharper or softer than in training",
        ))
}

fn long_rope(facts: &Facts, theta: f64, section: Section) -> Result<Computed, String> {
    let max = facts.max_context;
    let original = section
        .original()
        .or(facts.top_original)
        .ok_or("it finds no `original_max_position_embeddings` (TypeError)")?;
    let attention = su(facts.ratio_to(original), original);
    let switch = if facts.is_phi3() {
        Switch::ByRequestedLength { border: original }
    } else if max > original {
        Switch::AlwaysLong {}
    } else {
        Switch::Never {}
    };
    let n_pairs = facts.spec.n_pairs();
    let mut rules = section.long_rope(n_pairs, theta, (attention, attention), switch)?;
    if !facts.is_phi3() {
        rules.factors.remove(usize::from(max <= original));
    }
    let scales = scales(&rules);
    let computed = Computed::new(rules).because(
        &[Topic::AttentionScale],
        format!("computes the attention scale from max / original and uses {scales}"),
        "`attention_factor`, `factor`, `short_mscale` and `long_mscale` have no effect",
    );
    Ok(if facts.is_phi3() {
        computed.because(
            &[Topic::Factors, Topic::Switch],
            format!(
                "chooses once at load by `override_dynamic_seq_len`, else by the claimed context {max}: above {original} all \
                 texts get the long factors"
            ),
            "no cache is ever mixed, but short texts lose quality beside long ones",
        )
    } else {
        computed
            .because_if(
                max <= original,
                &[Topic::Factors, Topic::Switch],
                "uses only the short factors, because the claimed context is not above the original one",
                "the long factors stay unused",
            )
            .because(
                &[Topic::Factors, Topic::Switch],
                "always uses the long factors, because the claimed context is above the original one",
                "no cache is ever mixed, but short texts lose quality",
            )
    })
}
