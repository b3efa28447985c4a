//! Parts of a model card: the RoPE in numbers, and how to run the model elsewhere.

use std::fmt::Write;

use longrope_gguf::Sets;
use longrope_rope::{RopeScaling, RopeSpec, diagnose, pair_of_period};
use serde_json::Value;

use super::gguf::gguf_rope;
use crate::config::ModelConfig;

/// The factors of a RoPE and where they lie, as lines of a list; none for plain RoPE.
pub(super) fn rope_facts(spec: &RopeSpec, context: usize) -> Vec<String> {
    if spec.scaling == (RopeScaling::None {}) {
        return Vec::new();
    }
    let plain = spec.plain().resolve(context);
    let range = |length: usize| {
        let scaled = spec.resolve(length);
        let pairs = plain.inv_freq().iter().zip(scaled.inv_freq());
        let factors = pairs.map(|(plain, scaled)| plain / scaled);
        let (low, high) = factors.fold((f64::INFINITY, 0.0_f64), |(low, high), it| {
            (low.min(it), high.max(it))
        });
        (low.is_finite() && high.is_finite()).then(|| format!("{low:.4} to {high:.4}"))
    };
    let mut lines = Vec::new();
    for length in [spec.original_context, context] {
        if let Some(range) = range(length) {
            lines.push(format!(
                "- Frequencies at {length} tokens are divided by {range}, attention scale {:.4}",
                spec.attention_scale(length)
            ));
        }
    }
    lines.dedup();
    let critical = pair_of_period(spec.rotary_dim, spec.theta, spec.original_context, 1.0);
    lines.push(format!(
        "- Pairs from {critical} on, of {}, make less than one turn in the original context",
        spec.n_pairs()
    ));
    lines
}

/// How the model is run by other programs, with the settings that `config`, the text of its `config.json`, needs there.
pub(super) fn serving(
    model: &ModelConfig,
    spec: &RopeSpec,
    context: usize,
    config: &str,
) -> String {
    let mut text = format!(
        "## Run it\n\n\
         - transformers: `AutoModelForCausalLM.from_pretrained(\"DIR\")`\n\
         - vLLM: `vllm serve DIR --max-model-len {context}`\n"
    );
    if gguf_rope(model, spec, context, Sets::Both).is_ok() {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "- llama.cpp: `longrope export DIR --rope checkpoint --format gguf --out model.gguf`, then \
             `llama-server -m model.gguf -c {context}`"
        );
    }
    let json = serde_json::from_str::<Value>(config);
    let advice = json.ok().and_then(|json| diagnose(&json).ok());
    let advice = advice.map(|found| found.advice).unwrap_or_default();
    if !advice.is_empty() {
        let _ = writeln!(
            text,
            "\nWhat these and other programs need, by `longrope doctor`:\n"
        );
        for line in advice {
            let _ = writeln!(text, "- {line}");
        }
    }
    text
}
