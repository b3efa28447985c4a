//! Recommended settings, so that a checkpoint runs as it was trained.

use super::compare;
use super::facts::{Facts, Family};
use super::view::{Advice, Rules, Runtime, RuntimeView, Topic};
use crate::RopeScaling;

type Lines = Vec<(Vec<Runtime>, String)>;

/// Changes of the config first, then settings of each runtime; empty if nothing needs to change.
pub(super) fn advice(facts: &Facts, views: &[RuntimeView]) -> Vec<Advice> {
    let mut lines: Lines = config(facts)
        .into_iter()
        .map(|text| (Vec::new(), text))
        .collect();
    if facts.is_long_rope() {
        lines.extend(long_rope(facts, views));
    } else {
        lines.extend(others(facts));
    }
    lines.extend(candle(facts, views));
    lines
        .into_iter()
        .map(|(runtimes, text)| Advice { runtimes, text })
        .collect()
}

/// Changes of the config itself.
fn config(facts: &Facts) -> Vec<String> {
    let mut texts = Vec::new();
    let (original, max) = (facts.spec.original_context, facts.max_context);
    if facts.is_only_v5() && (facts.is_scaled() || facts.top_theta.is_none()) {
        let candle = match &facts.spec.scaling {
            RopeScaling::None {} => " and candle",
            RopeScaling::Llama3 { .. } if facts.family == Family::Llama => " and candle",
            _ => "",
        };
        texts.push(format!(
            "write `rope_theta` and `rope_scaling` beside `rope_parameters` for transformers 4{candle}; `longrope export` writes \
             both spellings"
        ));
    }
    if !facts.is_long_rope() {
        return texts;
    }
    let is_su = |key| facts.value(key).and_then(|value| value.as_str()) == Some("su");
    if is_su("type") || is_su("rope_type") {
        texts.push("call the type longrope; \"su\" is its old name".to_owned());
    }
    if !facts.names_original() && !facts.is_phi3() {
        texts.push(
            "there is no `original_max_position_embeddings`: every runtime takes scale 1 and uses the long factors only above `max_position_embeddings`; write \
             the context the model was trained for at the top level"
                .to_owned(),
        );
    } else if facts.top_original.is_none() {
        texts.push(format!(
            "write `original_max_position_embeddings` {original} at the top level, where every runtime looks"
        ));
    } else if original >= max {
        texts.push(format!(
            "`max_position_embeddings` {max} is not above the original context {original}: the long factors are for texts that the config does not claim"
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
    let repeated = |key| match (facts.number("attention_factor"), facts.number(key)) {
        (Some(factor), Some(mscale)) => compare::same(factor, mscale),
        (factor, _) => factor.is_none(),
    };
    if !(repeated("short_mscale") && repeated("long_mscale")) {
        let phi3 = if facts.is_phi3() {
            "; with these keys Phi-3 loads in transformers 5 only"
        } else {
            ""
        };
        texts.push(format!(
            "repeat `attention_factor` as `short_mscale` and `long_mscale`, which vLLM reads{phi3}"
        ));
    }
    texts
}

fn long_rope(facts: &Facts, views: &[RuntimeView]) -> Lines {
    let (original, max) = (facts.spec.original_context, facts.max_context);
    if max <= original {
        return Lines::new();
    }
    let mut lines = Lines::new();
    let switching: Vec<Runtime> = [Runtime::Transformers4, Runtime::Transformers5]
        .into_iter()
        .filter(|runtime| rules(views, *runtime).is_some_and(|rules| rules.factors.len() > 1))
        .collect();
    if !switching.is_empty() {
        let stay = if facts.is_phi3() {
            String::new()
        } else {
            format!(
                "keep prompt and new tokens together within {original}, or begin with a prompt above it; "
            )
        };
        lines.push((
            switching,
            format!(
                "{stay}prefill in one pass, and do not batch texts of up to {original} tokens with longer ones"
            ),
        ));
    }
    lines.push((
        vec![Runtime::Vllm],
        format!(
            "`--max-model-len {max}` for long requests, `--max-model-len {original}` on a server for short ones"
        ),
    ));
    let llama_cpp = match facts.family {
        Family::Phi3 => {
            let attention = if facts.number("attention_factor").is_some() {
                "; set the key `phi3.rope.scaling.attn_factor` of the GGUF to `attention_factor`"
            } else {
                ""
            };
            format!(
                "`-c N` with N above {original} for long texts, `-c {original}` or less for short ones{attention}"
            )
        }
        Family::Llama => "use no GGUF of the stock converter; one with `llama.rope.scaling.type` longrope and the tensors \
                          `rope_factors_short.weight` and `rope_factors_long.weight` loads"
            .to_owned(),
        Family::Mistral | Family::Qwen2 => "use no GGUF of the stock converter".to_owned(),
    };
    lines.push((vec![Runtime::LlamaCpp], llama_cpp));
    lines
}

/// Settings for other scalings.
fn others(facts: &Facts) -> Lines {
    let max = facts.max_context;
    let mut lines = Lines::new();
    let mut say = |runtime, text| lines.push((vec![runtime], text));
    match &facts.spec.scaling {
        RopeScaling::Yarn { .. } => {
            let ratio = facts.ratio();
            if facts.rope_scaling.is_some()
                && facts.inner_original().is_some()
                && facts
                    .number("factor")
                    .is_some_and(|factor| !compare::same(factor, ratio))
            {
                say(
                    Runtime::Transformers4,
                    format!(
                        "some 4.x releases replace `factor` by max / original, here {ratio}; compare a loss with version 5 before \
                         trusting one"
                    ),
                );
            }
            let made_for = facts.spec.max_context();
            if made_for != max {
                say(
                    Runtime::Vllm,
                    format!(
                        "`--max-model-len N` with N up to original × factor = {made_for}; the config claims {max}"
                    ),
                );
                say(
                    Runtime::LlamaCpp,
                    format!("`-c N` with N up to {made_for}; the default is {max}"),
                );
            }
        }
        RopeScaling::Linear { .. } => say(
            Runtime::Vllm,
            format!("`--max-model-len {max}` for the context the config claims"),
        ),
        RopeScaling::DynamicNtk { .. } => {
            say(
                Runtime::Vllm,
                format!("for texts of up to {max} tokens remove the scaling"),
            );
            say(
                Runtime::LlamaCpp,
                format!("`-c {max}`; beyond it there is no dynamic NTK"),
            );
        }
        RopeScaling::Llama3 { .. }
            if matches!(facts.family, Family::Llama | Family::Mistral)
                && facts.top_original.is_none()
                && facts.spec.original_context != 8192 =>
        {
            say(
                Runtime::LlamaCpp,
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

/// Advises against candle if it computes other factors.
fn candle(facts: &Facts, views: &[RuntimeView]) -> Option<(Vec<Runtime>, String)> {
    let ours = rules(views, Runtime::Longrope)?;
    let right = rules(views, Runtime::Candle)
        .is_some_and(|theirs| compare::agree(Topic::Factors, facts, theirs, ours));
    (facts.is_scaled() && !right).then(|| {
        (
            vec![Runtime::Candle],
            "run this checkpoint elsewhere".to_owned(),
        )
    })
}

fn rules(views: &[RuntimeView], runtime: Runtime) -> Option<&Rules> {
    views
        .iter()
        .find(|view| view.runtime == runtime)
        .and_then(RuntimeView::rules)
}
