//! Training windows in the shares of a configuration, and batches made of them.

use std::path::Path;
use std::sync::Arc;

use longrope_data::{
    Grouping, Mixture, MixturePart, PackedStream, PackingConfig, RopeChoice, SyntheticConfig,
    SyntheticKind, SyntheticStream, TokenDocument, Tokenizer, TrainingWindow, WindowSource,
};
use longrope_kernels::Documents;
use longrope_model::{Decoder, ModelConfig, Rotary, TrainingBatch};
use longrope_rope::RopeSpec;

use super::config::TrainDataConfig;
use crate::error::{Error, Result};
use crate::trainer::MicroBatch;

/// The angles of both RoPEs that a window may be trained under.
#[derive(Clone, Debug)]
pub struct Rotaries {
    /// Angles under the RoPE that is trained.
    pub rescaled: Rotary,
    /// Angles under the RoPE the model was trained with before.
    pub original: Rotary,
}

impl Rotaries {
    /// Resolves both RoPEs for windows of `context` tokens.
    pub fn new(
        decoder: &Decoder,
        rescaled: &RopeSpec,
        original: &RopeSpec,
        context: usize,
    ) -> Self {
        let rotary = |spec: &RopeSpec| decoder.rotary(&spec.resolve(context), context);
        Self {
            rescaled: rotary(rescaled),
            original: rotary(original),
        }
    }
}

/// Makes the source of a part's windows.
type MakeSource<'a> = &'a dyn Fn() -> longrope_data::Result<WindowSource>;

/// The windows of `config`, `context` tokens each. Generated documents need the tokenizer in the folder `base`.
///
/// # Errors
/// [`Error::NothingToTrainOn`] if all shares are 0, [`Error::Windows`] if a part cannot be made into windows.
pub(super) fn mixture(
    config: &TrainDataConfig,
    documents: &Arc<[TokenDocument]>,
    base: &Path,
    model: &ModelConfig,
    context: usize,
    seed: u64,
) -> Result<Mixture> {
    let (bos, eos) = (model.bos_token, model.eos_tokens.first().copied());
    let packed = |packing: PackingConfig| {
        let packing = PackingConfig {
            bos,
            eos,
            overflow: config.overflow,
            length_weights: config.length_weights.clone(),
            ..packing
        };
        PackedStream::new(Arc::clone(documents), packing).map(WindowSource::Packed)
    };
    let generated = |kind: SyntheticKind, seed: u64| {
        let generated = SyntheticConfig {
            bos,
            eos,
            shortest: config.shortest_document,
            answer_weight: config.answer_weight,
            corpus_share: if documents.is_empty() { 0.0 } else { 0.5 },
            ..SyntheticConfig::new(kind, context, seed)
        };
        let tokenizer = Arc::new(Tokenizer::from_model_dir(base)?);
        SyntheticStream::new(generated, tokenizer, Arc::clone(documents))
            .map(WindowSource::Synthetic)
    };
    let original = model.rope.original_context.min(context);
    let mut parts = Vec::new();
    let mut add = |part: &'static str, share: f64, source: MakeSource<'_>| -> Result<()> {
        if share > 0.0 {
            let source = source().map_err(|source| Error::Windows { part, source })?;
            parts.push(MixturePart {
                name: part.to_owned(),
                share,
                source,
            });
        }
        Ok(())
    };
    add("text", config.text, &|| {
        packed(PackingConfig::new(context, seed))
    })?;
    add("short", config.short, &|| {
        packed(PackingConfig::short(
            context,
            original,
            seed.wrapping_add(1),
        ))
    })?;
    add("passkey", config.passkey, &|| {
        generated(SyntheticKind::Passkey {}, seed.wrapping_add(2))
    })?;
    add("recall", config.recall, &|| {
        generated(SyntheticKind::RECALL, seed.wrapping_add(3))
    })?;
    add("copying", config.copying, &|| {
        generated(SyntheticKind::COPYING, seed.wrapping_add(4))
    })?;
    if parts.is_empty() {
        return Err(Error::NothingToTrainOn);
    }
    // Windows under different RoPEs cannot share a batch.
    let grouping = if config.short > 0.0 {
        Grouping::Batch
    } else {
        Grouping::Window
    };
    Ok(Mixture::new(parts, grouping)?)
}

/// Makes a batch of windows that have the same length and RoPE.
///
/// Attention stays inside the documents of windows that are `confined`.
pub(super) fn micro_batch(windows: Vec<TrainingWindow>, rotaries: &Rotaries) -> MicroBatch {
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

#[cfg(test)]
mod tests {
    use burn::tensor::Device;
    use longrope_model::DecoderConfig;

    use super::*;
    use longrope_rope::RopeScaling;

    fn window(rope: RopeChoice, confined: bool) -> TrainingWindow {
        TrainingWindow {
            tokens: vec![3, 4, 5, 6],
            document_starts: vec![0, 3],
            confined,
            rope,
            loss_weights: None,
        }
    }

    /// Tables of different sizes, to tell them apart.
    fn rotaries() -> Rotaries {
        let spec = RopeSpec::new(4, 10_000.0, 16, RopeScaling::None {}).unwrap();
        let decoder = DecoderConfig::new(8, 4, 1, 1).init(&Device::flex());
        let rotary = |n_positions| decoder.rotary(&spec.resolve(16), n_positions);
        Rotaries {
            rescaled: rotary(8),
            original: rotary(4),
        }
    }

    #[test]
    fn a_batch_is_rotated_as_its_windows_say() {
        let n_positions = |rope: RopeChoice| {
            let batch = micro_batch(vec![window(rope, false)], &rotaries());
            batch.rotary.n_positions()
        };
        assert_eq!(n_positions(RopeChoice::Rescaled), 8);
        assert_eq!(n_positions(RopeChoice::Original), 4);
    }

    #[test]
    fn attention_stays_inside_the_documents_of_confined_windows() {
        let open = window(RopeChoice::Rescaled, false);
        let confined = window(RopeChoice::Rescaled, true);
        let batch = micro_batch(vec![open.clone()], &rotaries()).batch;
        assert!(batch.documents.is_none());
        assert_eq!(batch.loss_weights, [[0.0, 1.0, 1.0, 1.0]]);
        let batch = micro_batch(vec![open, confined], &rotaries()).batch;
        let lengths = [vec![4], vec![3, 1]];
        assert_eq!(batch.documents, Some(Documents::from_lengths(&lengths)));
        assert_eq!(batch.loss_weights[1], [0.0, 1.0, 1.0, 0.0]);
    }
}
