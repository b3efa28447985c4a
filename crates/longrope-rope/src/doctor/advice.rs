//! Recommended settings, so that a checkpoint runs as it was trained.

use super::compare::{self, rules_of};
use super::config_changes::{config_changes, is_su, lacks_betas};
use super::facts::{Facts, Family};
use super::view::{Advice, Rules, Runtime, RuntimeView, Switch, Topic};
use crate::RopeScaling;

type Lines = Vec<(Vec<Runtime>, String)>;

/// Changes of the config first, then settings of each runtime; empty if nothing needs to change.
pub(super) fn advice(facts: &Facts, views: &[RuntimeView]) -> Vec<Advice> {
    let texts = config_changes(facts, views).into_iter();
    let mut lines: Lines = texts.map(|text| (Vec::new(), text)).collect();
    if facts.is_long_rope() {
        lines.extend(long_rope(facts, views));
    } else {
        lines.extend(others(facts));
    }
    lines.extend(elsewhere(facts, views));
    // Nothing is said about runtimes whose rules are not known.
    let is_known = |runtime: &Runtime| views.iter().any(|view| view.runtime == *runtime);
    lines
        .into_iter()
        .filter(|(runtimes, _)| runtimes.is_empty() || runtimes.iter().any(is_known))
        .map(|(runtimes, text)| (runtimes.into_iter().filter(is_known).collect(), text))
        .map(|(runtimes, text)| Advice { runtimes, text })
        .collect()
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
    if facts.is_short_in_transformers() {
        lines.push((
            vec![Runtime::Transformers5],
            format!(
                "for texts of more than {original} tokens, run the code that was published with the model instead"
            ),
        ));
    }
    if rules_of(views, Runtime::Vllm).is_some() {
        lines.push((
            vec![Runtime::Vllm],
            format!(
                "`--max-model-len {max}` for long requests, `--max-model-len {original}` on a server for short ones"
            ),
        ));
    }
    if rules_of(views, Runtime::LlamaCpp).is_some() {
        lines.push((vec![Runtime::LlamaCpp], llama_cpp(facts)));
    }
    if facts.is_phi3() && rules_of(views, Runtime::Exllamav3).is_some() {
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
        _ => "use no GGUF of the stock converter; the same weights as architecture `llama`, with q and k \
                                            permuted and the tensors `rope_factors_short.weight` and `rope_factors_long.weight`, work"
            .to_owned(),
    }
}

/// Settings for other scalings.
fn others(facts: &Facts) -> Lines {
    let max = facts.max_context;
    let original = facts.spec.original_context;
    match &facts.spec.scaling {
        RopeScaling::Yarn { .. } => yarn(facts.spec.max_context(), max),
        RopeScaling::Linear { .. } => vec![
            line(
                Runtime::Vllm,
                format!("`--max-model-len {max}` for the context the config claims"),
            ),
            line(
                Runtime::Sglang,
                format!("`--context-length {max}` for the context the config claims"),
            ),
        ],
        RopeScaling::DynamicNtk { .. } => vec![
            line(
                Runtime::Vllm,
                format!(
                    "`--max-model-len {max}`; beyond it there is no dynamic NTK, although the server allows it"
                ),
            ),
            line(
                Runtime::Sglang,
                format!("for texts of up to {max} tokens remove the scaling"),
            ),
            line(
                Runtime::LlamaCpp,
                format!("`-c {max}`; beyond it there is no dynamic NTK"),
            ),
        ],
        RopeScaling::Llama3 { .. }
            if matches!(facts.family, Family::Llama | Family::Mistral)
                && facts.top_original.is_none()
                && original != 8192 =>
        {
            vec![line(
                Runtime::LlamaCpp,
                format!(
                    "before converting, write `original_max_position_embeddings` {original} at the top level as well"
                ),
            )]
        }
        _ => Lines::new(),
    }
}

/// Settings for YaRN that was made for a longer context than the `max` that the config claims.
fn yarn(made_for: usize, max: usize) -> Lines {
    if made_for <= max {
        return Lines::new();
    }
    vec![
        line(
            Runtime::Vllm,
            format!(
                "`--hf-overrides '{{\"max_position_embeddings\": {made_for}}}'` for long requests; above the claimed {max} it \
                 refuses `--max-model-len`"
            ),
        ),
        line(
            Runtime::Sglang,
            format!(
                "`--context-length {made_for}` with `SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN=1` for long requests"
            ),
        ),
        line(
            Runtime::LlamaCpp,
            format!("`-c N` with N up to {made_for}; the default is {max}"),
        ),
    ]
}

fn line(runtime: Runtime, text: String) -> (Vec<Runtime>, String) {
    (vec![runtime], text)
}

/// The runtimes that no setting helps.
fn elsewhere(facts: &Facts, views: &[RuntimeView]) -> Option<(Vec<Runtime>, String)> {
    let ours = rules_of(views, Runtime::Longrope)?;
    // These two load after the changes of the config that are advised above.
    let loads_later = |runtime| {
        let yarn = matches!(facts.spec.scaling, RopeScaling::Yarn { .. }) && lacks_betas(facts);
        let phi3 = facts.is_phi3() && is_su(facts);
        runtime == Runtime::OnnxruntimeGenai && (yarn || phi3) && rules_of(views, runtime).is_none()
    };
    let helpless = |runtime: Runtime| {
        let right = rules_of(views, runtime)
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
