//! Hugging Face transformers, 4 and 5.

use serde_json::Value;

use super::facts::{DEFAULT_THETA, Explanation, Facts, because, ignores_rope_parameters};
use super::view::{Rules, Switch, Topic, scales};
use crate::{AttentionScale, RopeScaling, RopeSpec};

pub(super) const SOURCE_V4: &str = "huggingface/transformers ef468064, modeling_rope_utils.py";
pub(super) const SOURCE_V5: &str = "huggingface/transformers 5 (configuration_phi3.py 008e574, modeling_rope_utils.py of unknown commit)";

/// What transformers 4 computes, or why it does not load the config.
///
/// It knows `rope_scaling` only. For longrope it takes the original context from the top level only and, if it is there,
/// replaces `factor` by the ratio. Phi-3 accepts exactly three keys. Its YaRN takes the original context from
/// `max_position_embeddings`.
///
/// # Reference
/// `_compute_longrope_parameters`, `_compute_yarn_parameters` and `_check_received_keys` at ef468064; the switch is
/// `longrope_frequency_update` and, for the Phi-3 family, `prepare_inputs_for_generation`.
pub(super) fn v4(facts: &Facts) -> Result<Rules, String> {
    let mut spec = facts.spec.clone();
    spec.theta = facts.top_theta.unwrap_or(DEFAULT_THETA);
    let Some(section) = facts.rope_scaling else {
        return Ok(rules(facts, &spec.plain()));
    };
    let written = ["rope_type", "type"]
        .into_iter()
        .find_map(|key| section.get(key).and_then(Value::as_str));
    if facts.is_phi3() {
        let known = ["type", "short_factor", "long_factor"];
        if section.len() != known.len() || known.iter().any(|key| !section.contains_key(*key)) {
            return Err(
                "`rope_scaling` of Phi-3 must hold `type`, `short_factor`, `long_factor` and nothing else"
                    .to_owned(),
            );
        }
    } else if written == Some("su") {
        return Err(
            "the type is called \"su\", which only Phi-3 configs translate to \"longrope\""
                .to_owned(),
        );
    }
    match &mut spec.scaling {
        RopeScaling::LongRope { sets, attention } => {
            for set in sets.iter_mut() {
                set.attention = None;
            }
            let names_original = facts.top_original.is_some() || facts.is_phi3();
            let (original, scale) = if names_original {
                (spec.original_context, Some(facts.ratio()))
            } else {
                // Sequences above the context that it takes do use the long factors.
                if spec.original_context != facts.max_context {
                    sets.truncate(1);
                }
                (facts.max_context, facts.number("factor"))
            };
            spec.original_context = original;
            let value = match (facts.number("attention_factor"), scale) {
                (Some(value), _) => value,
                (None, Some(scale)) => AttentionScale::Su {}.value(scale, original),
                (None, None) => {
                    return Err("there is neither `original_max_position_embeddings` at the top level nor `factor` in \
                                `rope_scaling` (TypeError)"
                        .to_owned());
                }
            };
            *attention = AttentionScale::Constant { value };
        }
        RopeScaling::Yarn {
            scale, attention, ..
        } => {
            if facts.number("factor").is_none() {
                return Err("YaRN needs `factor` (KeyError)".to_owned());
            }
            spec.original_context = facts.max_context;
            *attention = match facts.number("attention_factor") {
                Some(value) => AttentionScale::Constant { value },
                None => AttentionScale::Constant {
                    value: AttentionScale::Yarn {}.value(*scale, facts.max_context),
                },
            };
        }
        RopeScaling::Llama3 { .. } => match facts.inner_original() {
            Some(original) => spec.original_context = original,
            None => {
                return Err(
                    "llama3 needs `original_max_position_embeddings` in `rope_scaling` (KeyError)"
                        .to_owned(),
                );
            }
        },
        _ => {}
    }
    Ok(rules(facts, &spec))
}

/// What transformers 5 computes: the config as we read it, but `factor` wins over the ratio and `short_mscale`,
/// `long_mscale` are not read.
///
/// # Reference
/// `standardize_rope_params` and `_compute_longrope_parameters` of version 5.
pub(super) fn v5(facts: &Facts) -> Result<Rules, String> {
    if facts.is_phi3() && !facts.is_long_rope() && facts.is_scaled() {
        return Err("Phi-3 configs load only longrope".to_owned());
    }
    if facts.is_yarn() && !facts.has("factor") {
        return Err("YaRN needs `factor` (KeyError)".to_owned());
    }
    let spec = if facts.is_long_rope() {
        let scale = facts.number("factor").unwrap_or(facts.ratio());
        let value = facts.number("attention_factor");
        facts.with_attention(value.unwrap_or_else(|| facts.su(scale)))
    } else {
        facts.spec.clone()
    };
    Ok(rules(facts, &spec))
}

fn rules(facts: &Facts, spec: &RopeSpec) -> Rules {
    let recomputes_cache = facts.is_phi3();
    Rules::of(
        spec,
        |border| Switch::PerForward {
            border,
            recomputes_cache,
        },
        None,
    )
}

pub(super) fn explain_v4(topic: Topic, facts: &Facts, rules: &Rules) -> Explanation {
    if facts.is_only_v5() {
        return ignores_rope_parameters(rules.theta);
    }
    match topic {
        Topic::Theta => because(
            format!(
                "looks for `rope_theta` at the top level only, finds none and takes {}",
                rules.theta
            ),
            "the model was not trained for these angles",
        ),
        Topic::Factors | Topic::AttentionScale | Topic::Switch
            if facts.is_long_rope() && facts.top_original.is_none() && !facts.is_phi3() =>
        {
            because(
                format!(
                    "looks for `original_max_position_embeddings` at the top level only, finds none and takes {}",
                    facts.max_context
                ),
                "the long factors are never used",
            )
        }
        Topic::Factors | Topic::AttentionScale if facts.is_yarn() => because(
            format!(
                "takes {} as the original context of YaRN and reads neither `mscale` nor `truncate`; later 4.x instead replace \
                 `factor` by max / original = {} if the section names the original context",
                facts.max_context,
                facts.ratio()
            ),
            "frequencies depend on the release; pin one and compare losses",
        ),
        Topic::Factors => because(
            "reads `original_max_position_embeddings` inside `rope_scaling`, where others prefer the top level",
            "the frequencies are blended differently",
        ),
        Topic::AttentionScale => attention(facts, rules),
        _ => switch(facts),
    }
}

pub(super) fn explain_v5(topic: Topic, facts: &Facts, rules: &Rules) -> Explanation {
    match topic {
        Topic::AttentionScale => attention(facts, rules),
        _ => switch(facts),
    }
}

fn attention(facts: &Facts, rules: &Rules) -> Explanation {
    let scales = scales(rules);
    if facts
        .number("short_mscale")
        .or(facts.number("long_mscale"))
        .is_some()
    {
        because(
            format!("does not read `short_mscale` and `long_mscale` and uses {scales}"),
            "attention is sharpened differently than in training",
        )
    } else {
        because(
            format!(
                "attention scale {scales}: `factor` is {}, max / original is {}, version 4 takes the ratio and version 5 `factor`",
                facts.number("factor").unwrap_or(facts.ratio()),
                facts.ratio()
            ),
            "the losses of the two versions differ",
        )
    }
}

fn switch(facts: &Facts) -> Explanation {
    if !facts.is_long_rope() {
        return because(
            "recomputes the base in each forward pass from the length so far and keeps keys rotated by older ones",
            "beyond the original context a long generation differs from the same text in one pass",
        );
    }
    if facts.is_phi3() {
        because(
            "chooses by the largest position of each forward pass, over the whole batch, and recomputes the cache when a \
             generation crosses the border",
            "prefill in chunks mixes both sets in one cache, and one long row changes the short rows of its batch",
        )
    } else {
        because(
            "chooses by the largest position of each forward pass, over the whole batch, and keeps the cache when a generation \
             crosses the border (only Phi-3 models recompute it)",
            "a generation across the border and prefill in chunks mix both sets in one cache, which ruins the text",
        )
    }
}
