//! The model card: shape, training data and final measurement.

use std::fmt::Write;

use longrope_trainer::run::Measurement;

use super::config::PretrainConfig;
use super::corpus::CorpusReport;
use super::digits::grouped;
use super::measure::N_PASSKEYS;

/// The text of the model's `README.md`.
pub(super) fn text(
    config: &PretrainConfig,
    seed: u64,
    corpus: &CorpusReport,
    measured: Measurement,
) -> String {
    let mut text = match &config.config {
        None => String::from("# A small LLaMA, trained by `longrope pretrain`\n\n"),
        Some(_) => String::from("# A small model, trained by `longrope pretrain`\n\n"),
    };
    let mut line = |line: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line}");
    };
    line(model_line(config));
    line(format!(
        "- Text: {}, {} documents, {} tokens; fingerprint `{}`.",
        corpus.origin,
        grouped(corpus.n_documents),
        grouped(corpus.n_tokens),
        corpus.text_fingerprint
    ));
    line(format!("- Seed: {seed}."));
    if measured.nll_nats.is_finite() {
        line(format!(
            "- Held-out text: perplexity {:.2} ({:.4} nats per token).",
            measured.ppl(),
            measured.nll_nats
        ));
    }
    if let Some(share) = measured.passkeys {
        line(format!(
            "- Passkeys inside the window: {:.0} of {N_PASSKEYS} found for certain.",
            share * N_PASSKEYS as f64
        ));
    }
    line("\n| phase | steps | windows × tokens | learning rate | text | copying | passkey | recall |\n|---|---|---|---|---|---|---|---|".to_owned());
    for phase in &config.phases {
        let shares = &phase.shares;
        line(format!(
            "| {} | {} | {} × {} | {:e}, {} of warmup, then {:?} | {} | {} | {} | {} |",
            phase.name,
            phase.steps,
            phase.batch,
            phase.window,
            phase.learning_rate,
            phase.warmup_steps,
            phase.decay,
            shares.text,
            shares.copying,
            shares.passkey,
            shares.recall
        ));
    }
    text
}

/// Family and sizes of the model.
fn model_line(config: &PretrainConfig) -> String {
    if let Some(keys) = &config.config {
        let keys = serde_json::to_string(keys).unwrap_or_default();
        return format!("- Model, as keys of `config.json`: `{keys}`.");
    }
    let shape = &config.model;
    format!(
        "- Model: LLaMA, {} layers, hidden {}, {} heads, {} key and value heads, intermediate {}, vocabulary {}, \
         window {}, theta {}{}.",
        shape.layers,
        shape.hidden,
        shape.heads,
        shape.kv_heads,
        shape.intermediate,
        shape.vocab,
        shape.window,
        shape.theta,
        if shape.tied { ", tied embeddings" } else { "" },
    )
}
