//! Recommended changes of a config, so that as many runtimes as possible compute the same.

use super::compare::{self, rules_of};
use super::facts::{DUAL_CHUNK, Facts, Family};
use super::section::Section;
use super::view::{Runtime, RuntimeView, Topic};
use crate::RopeScaling;

/// What to change in the config; empty if nothing needs to change.
pub(super) fn config_changes(facts: &Facts, views: &[RuntimeView]) -> Vec<String> {
    let mut texts = spelling(facts, views);
    if facts.is_long_rope() {
        texts.extend(long_rope_config(facts, views));
    }
    texts.extend(yarn_config(facts, views));
    texts
}

/// Changes of the config so that all runtimes read the same.
fn spelling(facts: &Facts, views: &[RuntimeView]) -> Vec<String> {
    let mut texts = Vec::new();
    if facts.dual_chunk {
        texts.push(format!(
            "remove `{DUAL_CHUNK}`: vLLM and SGLang no longer load it, and all others ignore it; far beyond the chunk size this \
             RoPE then turns by angles the model never saw"
        ));
    }
    if facts.sections_differ() {
        texts.push(
            "keep one of `rope_scaling` and `rope_parameters`, or make them equal".to_owned(),
        );
    }
    let sections = [facts.rope_scaling, facts.rope_parameters];
    if sections
        .into_iter()
        .flatten()
        .any(|section| section.types_differ().is_some())
    {
        texts.push("keep one of `type` and `rope_type`, or make them equal".to_owned());
    }
    let section = facts.section();
    if section.is_some_and(|it| facts.lacks_head_dim(it.rope_type().unwrap_or("default"))) {
        texts.push(format!("write `head_dim` {}", facts.head_dim));
    }
    let readers = older_readers(facts, views);
    if facts.is_only_v5() && !readers.is_empty() {
        texts.push(format!(
            "write `rope_theta` and `rope_scaling` beside `rope_parameters` for {}; `longrope export` writes both spellings",
            readers.join(", ")
        ));
    }
    texts
}

/// The runtimes that would compute this RoPE if it were in the spelling of transformers 4.
fn older_readers(facts: &Facts, views: &[RuntimeView]) -> Vec<&'static str> {
    let scaling = &facts.spec.scaling;
    let is_plain = !facts.is_scaled();
    let is_llama3 = matches!(scaling, RopeScaling::Llama3 { .. });
    let mistral_rs = match facts.family {
        Family::Llama => is_plain || is_llama3 || matches!(scaling, RopeScaling::Linear { .. }),
        Family::Phi3 => is_plain || facts.is_long_rope(),
        Family::Qwen2 => is_plain,
        // It reads the newer spelling.
        _ => false,
    };
    let candle = is_plain || (facts.family == Family::Llama && is_llama3);
    let ours = rules_of(views, Runtime::Longrope);
    let differs = |runtime: Runtime| {
        if !is_known(views, runtime) {
            return false;
        }
        let (Some(theirs), Some(ours)) = (rules_of(views, runtime), ours) else {
            return true;
        };
        let topics = [Topic::Theta, Topic::Factors];
        topics
            .into_iter()
            .any(|topic| !compare::agree(topic, facts, theirs, ours))
    };
    [
        (Runtime::Transformers4, true),
        (Runtime::MlxLm, true),
        (Runtime::MistralRs, mistral_rs),
        (Runtime::Candle, candle),
    ]
    .into_iter()
    .filter(|(runtime, knows)| *knows && differs(*runtime))
    .map(|(runtime, _)| runtime.name())
    .collect()
}

/// Changes of a config with short and long factors.
fn long_rope_config(facts: &Facts, views: &[RuntimeView]) -> Vec<String> {
    let mut texts = Vec::new();
    let (original, max) = (facts.spec.original_context, facts.max_context);
    if is_su(facts) {
        texts.push(
            "call the type longrope: \"su\" is its old name, and few runtimes still load it"
                .to_owned(),
        );
    }
    if !facts.names_original() && !facts.is_phi3() {
        texts.push(
            "there is no `original_max_position_embeddings`: runtimes take scale 1, or do not load; write the context the model \
             was trained for at the top level"
                .to_owned(),
        );
    } else if facts.top_original.is_none() {
        texts.push(format!(
            "write `original_max_position_embeddings` {original} at the top level, where most runtimes look"
        ));
    }
    if facts.names_original() && original >= max {
        texts.push(format!(
            "`max_position_embeddings` {max} is not above the original context {original}, so few runtimes ever use the long \
             factors; write the context they were made for"
        ));
    }
    if !facts.is_phi3()
        && is_known(views, Runtime::MlxLm)
        && facts.top_original.is_some()
        && facts
            .rope_scaling
            .is_some_and(|section| section.original().is_none())
    {
        texts.push(format!(
            "repeat `original_max_position_embeddings` {original} inside `rope_scaling`, where mlx-lm looks"
        ));
    }
    let ratio = facts.ratio();
    if let Some(factor) = facts.number("factor")
        && !compare::same(factor, ratio)
    {
        texts.push(format!(
            "remove `factor`, or write {ratio}, which is max / original; transformers 4 and 5 disagree about anything else"
        ));
    }
    texts.extend(mscale(facts, views));
    texts
}

/// The keys of the attention scale, of which runtimes read different ones.
fn mscale(facts: &Facts, views: &[RuntimeView]) -> Option<String> {
    // Its class reads both keys.
    if facts.is_short_in_transformers() {
        return None;
    }
    let (short, long) = (facts.number("short_mscale"), facts.number("long_mscale"));
    let same = |a: Option<f64>, b: f64| a.is_none_or(|a| compare::same(a, b));
    let phi3 = if facts.is_phi3() {
        "; transformers 4 loads a Phi-3 without any such key only"
    } else {
        ""
    };
    let readers = known(
        views,
        &[Runtime::Vllm, Runtime::Sglang, Runtime::OnnxruntimeGenai],
    );
    match facts.number("attention_factor") {
        // Other numbers than these are another scale for short texts, which `attention_factor` cannot say.
        Some(factor) if short.is_none() || long.is_none() || !same(long, factor) => {
            needs_mscale(facts, views).then(|| {
                format!(
                    "repeat `attention_factor` as `short_mscale` and `long_mscale`, which {} read{phi3}",
                    listed(&readers)
                )
            })
        }
        Some(_) => None,
        None => {
            let transformers = rules_of(views, Runtime::Transformers5)?;
            let theirs = transformers.factors.first()?.attention_scale;
            if same(short, theirs) && same(long, theirs) {
                return None;
            }
            let given = long.or(short).unwrap_or(theirs);
            let readers = [readers, vec![Runtime::Longrope.name()]].concat();
            Some(format!(
                "`short_mscale` and `long_mscale` are read by {}, not by transformers: \
                 remove them to compute with {theirs:.4} everywhere, as transformers does, or write `attention_factor` {given} \
                 beside them to compute with that{phi3}",
                listed(&readers)
            ))
        }
    }
}

/// Whether a runtime that reads the two keys computes another attention scale without them.
fn needs_mscale(facts: &Facts, views: &[RuntimeView]) -> bool {
    let ours = rules_of(views, Runtime::Longrope);
    [Runtime::Vllm, Runtime::Sglang].into_iter().any(|runtime| {
        let both = rules_of(views, runtime).zip(ours);
        both.is_some_and(|(theirs, ours)| {
            !compare::agree(Topic::AttentionScale, facts, theirs, ours)
        })
    })
}

/// YaRN whose config lacks numbers that a runtime needs.
fn yarn_config(facts: &Facts, views: &[RuntimeView]) -> Vec<String> {
    let mut texts = Vec::new();
    let RopeScaling::Yarn { scale, .. } = facts.spec.scaling else {
        return texts;
    };
    let made_for = facts.spec.max_context();
    if facts.max_context == facts.spec.original_context && scale > 1.0 {
        let takers = known(views, &[Runtime::Vllm, Runtime::Sglang, Runtime::LlamaCpp]);
        let mut reasons = Vec::new();
        if is_known(views, Runtime::Exllamav3) {
            reasons.push("exllamav3 computes its factor from it".to_owned());
        }
        if !takers.is_empty() {
            reasons.push(format!("{} take their context from it", listed(&takers)));
        }
        if !reasons.is_empty() {
            texts.push(format!(
                "write `max_position_embeddings` {made_for} (original × factor): {}",
                reasons.join(", and ")
            ));
        }
    }
    let builder = Runtime::OnnxruntimeGenai;
    if is_known(views, builder) && rules_of(views, builder).is_none() && lacks_betas(facts) {
        texts.push(
            "write `beta_fast` 32 and `beta_slow` 1, the defaults of all others: the builder of ONNX Runtime GenAI divides by them"
                .to_owned(),
        );
    }
    texts
}

/// Whether the rules of a runtime for this family were read; `views` has no others.
fn is_known(views: &[RuntimeView], runtime: Runtime) -> bool {
    views.iter().any(|view| view.runtime == runtime)
}

/// The names of those runtimes whose rules were read.
fn known(views: &[RuntimeView], runtimes: &[Runtime]) -> Vec<&'static str> {
    let known = runtimes.iter().filter(|runtime| is_known(views, **runtime));
    known.map(|runtime| runtime.name()).collect()
}

/// Names in a sentence: `a`, `a and b`, `a, b and c`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

pub(super) fn lacks_betas(facts: &Facts) -> bool {
    facts.number("beta_fast").is_none() || facts.number("beta_slow").is_none()
}

pub(super) fn is_su(facts: &Facts) -> bool {
    let su = Some("su");
    let called = |section: Section| section.text("rope_type") == su || section.text("type") == su;
    facts.section().is_some_and(called)
}
