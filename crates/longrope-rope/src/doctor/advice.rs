//! Recommended settings, so that a checkpoint runs as it was trained.

use super::compare;
use super::facts::{DUAL_CHUNK, Facts, Family};
use super::section::Section;
use super::view::{Advice, Rules, Runtime, RuntimeView, Switch, Topic};
use crate::RopeScaling;

type Lines = Vec<(Vec<Runtime>, String)>;

/// Changes of the config first, then settings of each runtime; empty if nothing needs to change.
pub(super) fn advice(facts: &Facts, views: &[RuntimeView]) -> Vec<Advice> {
    let mut texts = spelling(facts, views);
    if facts.is_long_rope() {
        texts.extend(long_rope_config(facts, views));
    }
    texts.extend(yarn_config(facts, views));
    let mut lines: Lines = texts.into_iter().map(|text| (Vec::new(), text)).collect();
    if facts.is_long_rope() {
        lines.extend(long_rope(facts, views));
    } else {
        lines.extend(others(facts));
    }
    lines.extend(elsewhere(facts, views));
    lines
        .into_iter()
        .map(|(runtimes, text)| Advice { runtimes, text })
        .collect()
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
    let ours = rules(views, Runtime::Longrope);
    let differs = |runtime: Runtime| {
        let (Some(theirs), Some(ours)) = (rules(views, runtime), ours) else {
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
    let is_su =
        |section: Section| section.rope_type() == Some("su") || section.text("type") == Some("su");
    if facts.section().is_some_and(is_su) {
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
    let (short, long) = (facts.number("short_mscale"), facts.number("long_mscale"));
    let same = |a: Option<f64>, b: f64| a.is_none_or(|a| compare::same(a, b));
    let phi3 = if facts.is_phi3() {
        "; transformers 4 loads a Phi-3 without any such key only"
    } else {
        ""
    };
    match facts.number("attention_factor") {
        Some(factor)
            if short.is_none() || long.is_none() || !same(short, factor) || !same(long, factor) =>
        {
            Some(format!(
                "repeat `attention_factor` as `short_mscale` and `long_mscale`, which vLLM, SGLang and ONNX Runtime GenAI read{phi3}"
            ))
        }
        Some(_) => None,
        None => {
            let transformers = rules(views, Runtime::Transformers5)?;
            let theirs = transformers.factors.first()?.attention_scale;
            if same(short, theirs) && same(long, theirs) {
                return None;
            }
            let given = long.or(short).unwrap_or(theirs);
            Some(format!(
                "`short_mscale` and `long_mscale` are read by vLLM, SGLang, ONNX Runtime GenAI and longrope, not by transformers: \
                 remove them to compute with {theirs:.4} everywhere, as transformers does, or write `attention_factor` {given} \
                 beside them to compute with that{phi3}"
            ))
        }
    }
}

/// YaRN whose config lacks numbers that a runtime needs.
fn yarn_config(facts: &Facts, views: &[RuntimeView]) -> Vec<String> {
    let mut texts = Vec::new();
    let RopeScaling::Yarn { scale, .. } = facts.spec.scaling else {
        return texts;
    };
    let made_for = facts.spec.max_context();
    if facts.max_context == facts.spec.original_context && scale > 1.0 {
        texts.push(format!(
            "write `max_position_embeddings` {made_for} (original × factor): exllamav3 computes its factor from it, and vLLM, \
             SGLang and llama.cpp take their context from it"
        ));
    }
    if rules(views, Runtime::OnnxruntimeGenai).is_none() && lacks_betas(facts) {
        texts.push(
            "write `beta_fast` 32 and `beta_slow` 1, the defaults of all others: the builder of ONNX Runtime GenAI divides by them"
                .to_owned(),
        );
    }
    texts
}

fn lacks_betas(facts: &Facts) -> bool {
    facts.number("beta_fast").is_none() || facts.number("beta_slow").is_none()
}

fn is_su(facts: &Facts) -> bool {
    let su = Some("su");
    let called = |section: Section| section.text("rope_type") == su || section.text("type") == su;
    facts.section().is_some_and(called)
}

fn long_rope(facts: &Facts, views: &[RuntimeView]) -> Lines {
    let (original, max) = (facts.spec.original_context, facts.max_context);
    if max <= original {
        return Lines::new();
    }
    let mut lines = Lines::new();
    let switching = |recomputes: bool| -> Vec<Runtime> {
        let per_forward = |rules: &Rules| matches!(rules.switch, Switch::PerForward { recomputes_cache, .. } if recomputes_cache == recomputes);
        let ours = views
            .iter()
            .filter(|view| view.rules().is_some_and(per_forward));
        ours.map(|view| view.runtime).collect()
    };
    let in_one_pass = format!(
        "prefill in one pass, and do not batch texts of up to {original} tokens with longer ones"
    );
    for (recomputes, text) in [
        (true, in_one_pass.clone()),
        (
            false,
            format!(
                "keep prompt and new tokens together within {original}, or begin with a prompt above it; {in_one_pass}"
            ),
        ),
    ] {
        let runtimes = switching(recomputes);
        if !runtimes.is_empty() {
            lines.push((runtimes, text));
        }
    }
    if rules(views, Runtime::Vllm).is_some() {
        lines.push((
            vec![Runtime::Vllm],
            format!(
                "`--max-model-len {max}` for long requests, `--max-model-len {original}` on a server for short ones"
            ),
        ));
    }
    if rules(views, Runtime::LlamaCpp).is_some() {
        lines.push((vec![Runtime::LlamaCpp], llama_cpp(facts)));
    }
    if facts.is_phi3() && rules(views, Runtime::Exllamav3).is_some() {
        lines.push((
            vec![Runtime::Exllamav3],
            format!(
                "call `config.override_dynamic_seq_len({original})` before loading for short texts; else all get the long factors"
            ),
        ));
    }
    lines
}

fn llama_cpp(facts: &Facts) -> String {
    let original = facts.spec.original_context;
    match facts.family {
        Family::Phi3 => {
            let attention = if facts.number("attention_factor").is_some() {
                "; set the key `phi3.rope.scaling.attn_factor` of the GGUF to `attention_factor`"
            } else {
                ""
            };
            if original < 256 {
                return format!(
                    "every context gets the long factors: `-c` is rounded up to a multiple of 256, above {original}"
                );
            }
            let rounded = if original.is_multiple_of(256) {
                String::new()
            } else {
                format!(
                    " (N is rounded up to a multiple of 256, so no more than {})",
                    original / 256 * 256
                )
            };
            format!(
                "`-c N` with N above {original} for long texts, `-c {original}` or less for short ones{rounded}{attention}"
            )
        }
        Family::Llama => "use no GGUF of the stock converter; one with `llama.rope.scaling.type` longrope and the tensors \
                          `rope_factors_short.weight` and `rope_factors_long.weight` loads"
            .to_owned(),
        Family::Mistral | Family::Qwen2 => "use no GGUF of the stock converter; the same weights as architecture `llama`, with q and k \
                                            permuted and the tensors `rope_factors_short.weight` and `rope_factors_long.weight`, work"
            .to_owned(),
    }
}

/// Settings for other scalings.
fn others(facts: &Facts) -> Lines {
    let max = facts.max_context;
    let mut lines = Lines::new();
    let mut say = |runtimes: &[Runtime], text| lines.push((runtimes.to_vec(), text));
    match &facts.spec.scaling {
        RopeScaling::Yarn { .. } => {
            let made_for = facts.spec.max_context();
            if made_for > max {
                say(
                    &[Runtime::Vllm],
                    format!(
                        "`--hf-overrides '{{\"max_position_embeddings\": {made_for}}}'` for long requests; above the claimed {max} it \
                         refuses `--max-model-len`"
                    ),
                );
                say(
                    &[Runtime::Sglang],
                    format!(
                        "`--context-length {made_for}` with `SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1` for long requests"
                    ),
                );
                say(
                    &[Runtime::LlamaCpp],
                    format!("`-c N` with N up to {made_for}; the default is {max}"),
                );
            }
        }
        RopeScaling::Linear { .. } => {
            say(
                &[Runtime::Vllm],
                format!("`--max-model-len {max}` for the context the config claims"),
            );
            say(
                &[Runtime::Sglang],
                format!("`--context-length {max}` for the context the config claims"),
            );
        }
        RopeScaling::DynamicNtk { .. } => {
            say(
                &[Runtime::Vllm],
                format!(
                    "`--max-model-len {max}`; beyond it there is no dynamic NTK, although the server allows it"
                ),
            );
            say(
                &[Runtime::Sglang],
                format!("for texts of up to {max} tokens remove the scaling"),
            );
            say(
                &[Runtime::LlamaCpp],
                format!("`-c {max}`; beyond it there is no dynamic NTK"),
            );
        }
        RopeScaling::Llama3 { .. }
            if matches!(facts.family, Family::Llama | Family::Mistral)
                && facts.top_original.is_none()
                && facts.spec.original_context != 8192 =>
        {
            say(
                &[Runtime::LlamaCpp],
                format!(
                    "before converting, write `original_max_position_embeddings` {} at the top level as well",
                    facts.spec.original_context
                ),
            );
        }
        _ => {}
    }
    lines
}

/// The runtimes that no setting helps.
fn elsewhere(facts: &Facts, views: &[RuntimeView]) -> Option<(Vec<Runtime>, String)> {
    let ours = rules(views, Runtime::Longrope)?;
    // These two load after the changes of the config that are advised above.
    let loads_later = |runtime| {
        let yarn = matches!(facts.spec.scaling, RopeScaling::Yarn { .. }) && lacks_betas(facts);
        let phi3 = facts.is_phi3() && is_su(facts);
        runtime == Runtime::OnnxruntimeGenai && (yarn || phi3) && rules(views, runtime).is_none()
    };
    let helpless = |runtime: Runtime| {
        let right = rules(views, runtime)
            .is_some_and(|theirs| compare::agree(Topic::Factors, facts, theirs, ours));
        !right && !loads_later(runtime)
    };
    let runtimes: Vec<Runtime> = [
        Runtime::MistralRs,
        Runtime::Candle,
        Runtime::OnnxruntimeGenai,
    ]
    .into_iter()
    .filter(|runtime| helpless(*runtime))
    .collect();
    (facts.is_scaled() && !runtimes.is_empty())
        .then(|| (runtimes, "run this checkpoint elsewhere".to_owned()))
}

fn rules(views: &[RuntimeView], runtime: Runtime) -> Option<&Rules> {
    views
        .iter()
        .find(|view| view.runtime == runtime)
        .and_then(RuntimeView::rules)
}
