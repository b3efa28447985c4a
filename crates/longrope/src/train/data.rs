//! Windows to train on, as the configuration mixes them, and batches made of them.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use longrope_data::{
    Grouping, Mixture, MixturePart, PackedStream, PackingConfig, RopeChoice, SyntheticConfig,
    SyntheticKind, SyntheticStream, TokenDocument, Tokenizer, TrainingWindow, WindowSource,
};
use longrope_kernels::Documents;
use longrope_model::{ModelConfig, Rotary, TrainingBatch};
use longrope_trainer::MicroBatch;

use super::config::TrainDataSection;
use crate::hint::Hint;

/// Angles of both embeddings that windows may have.
#[derive(Clone, Debug)]
pub(crate) struct Rotaries {
    pub(crate) rescaled: Rotary,
    pub(crate) original: Rotary,
}

/// The mixture of `[train.data]`, in windows of `context` tokens. Generated documents need the tokenizer of `base`.
pub(crate) fn mixture(
    section: &TrainDataSection,
    documents: &Arc<[TokenDocument]>,
    base: &Path,
    model: &ModelConfig,
    context: usize,
    seed: u64,
) -> Result<Mixture> {
    let packing = |config: PackingConfig| PackingConfig {
        bos: model.bos_token,
        eos: model.eos_tokens.first().copied(),
        overflow: section.overflow,
        length_weights: section.length_weights.clone(),
        ..config
    };
    let packed = |config: PackingConfig| -> Result<WindowSource> {
        let stream = PackedStream::new(Arc::clone(documents), packing(config))?;
        Ok(WindowSource::Packed(stream))
    };
    let generated = |kind: SyntheticKind, seed: u64| -> Result<WindowSource> {
        let config = SyntheticConfig {
            bos: model.bos_token,
            eos: model.eos_tokens.first().copied(),
            shortest: section.shortest_document,
            answer_weight: section.answer_weight,
            corpus_share: if documents.is_empty() { 0.0 } else { 0.5 },
            ..SyntheticConfig::new(kind, context, seed)
        };
        let tokenizer = Arc::new(Tokenizer::from_model_dir(base)?);
        let stream = SyntheticStream::new(config, tokenizer, Arc::clone(documents))?;
        Ok(WindowSource::Synthetic(stream))
    };
    let original = model.rope.original_context.min(context);
    let mut parts = Vec::new();
    let mut add = |name: &str, share: f64, source: &dyn Fn() -> Result<WindowSource>| {
        if share > 0.0 {
            let source = source().with_context(|| format!("windows of `{name}`"))?;
            parts.push(MixturePart {
                name: name.to_owned(),
                share,
                source,
            });
        }
        Ok::<(), anyhow::Error>(())
    };
    add("text", section.text, &|| {
        packed(PackingConfig::new(context, seed))
    })?;
    add("short", section.short, &|| {
        packed(PackingConfig::short(context, original, seed + 1))
    })?;
    add("passkey", section.passkey, &|| {
        generated(SyntheticKind::Passkey {}, seed + 2)
    })?;
    add("recall", section.recall, &|| {
        generated(SyntheticKind::RECALL, seed + 3)
    })?;
    add("copying", section.copying, &|| {
        generated(SyntheticKind::COPYING, seed + 4)
    })?;
    if parts.is_empty() {
        return Err(
            anyhow!("`train.data` leaves nothing to train on").context(Hint(
                "give at least one of text, short, passkey, recall and copying a share above 0"
                    .to_owned(),
            )),
        );
    }
    // Windows under different embeddings do not share a batch.
    let grouping = if section.short > 0.0 {
        Grouping::Batch
    } else {
        Grouping::Window
    };
    Ok(Mixture::new(parts, grouping)?)
}

/// Makes a batch of windows that agree in length and embedding.
pub(crate) fn micro_batch(windows: Vec<TrainingWindow>, rotaries: &Rotaries) -> MicroBatch {
    let rope = windows.first().map(|window| window.rope);
    let confined = windows.iter().any(|window| window.confined);
    let documents = confined.then(|| {
        let lengths: Vec<Vec<usize>> = windows
            .iter()
            .map(|window| {
                if window.confined {
                    window.document_lengths()
                } else {
                    vec![window.tokens.len()]
                }
            })
            .collect();
        Documents::from_lengths(&lengths)
    });
    let loss_weights = windows.iter().map(TrainingWindow::token_weights).collect();
    MicroBatch {
        batch: TrainingBatch {
            tokens: windows.into_iter().map(|window| window.tokens).collect(),
            loss_weights,
            documents,
        },
        rotary: match rope {
            Some(RopeChoice::Original) => rotaries.original.clone(),
            Some(RopeChoice::Rescaled) | None => rotaries.rescaled.clone(),
        },
    }
}
