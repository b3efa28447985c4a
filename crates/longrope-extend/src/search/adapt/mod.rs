//! Whether and how the model is adapted to each candidate before it is scored: the keys of `[search.adapt]`.

mod validate;

use std::sync::Arc;

use longrope_data::{Skips, TokenDocument, Tokenizer, document_bos, text_fingerprint};
use longrope_model::Decoder;
use longrope_trainer::Decay;
use longrope_trainer::run::{
    AdapterWindows, AsBefore, LoraSettings, Positions, SkippedPositions, TrainConfig,
    TrainDataConfig, TrainMode,
};
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::scoring::Adaptation;
use crate::search::calibration::shape::SampleShape;

/// The longest window that is chosen by default, tokens. Longer ones cost more and hold no further distances.
const LONGEST_WINDOW: usize = 2048;
/// Steps for each step of warmup.
const STEPS_PER_WARMUP: usize = 10;

/// A few steps of training before a candidate is scored, since what is least broken before a training is not what trains
/// best.
///
/// Low-rank adapters of attention are trained in a copy of the model, under the RoPE of the candidate, on short windows whose
/// positions skip ahead up to the target (`PoSE`, arXiv 2309.10400). Samples are windows of the same kind. Seed, windows and
/// positions are the same for all candidates. Keys are in kebab case, every key has a default, and unknown keys are rejected.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub struct AdaptConfig {
    /// Steps of training; 0 scores candidates on the model as it is, on real positions.
    pub steps: usize,
    /// Tokens of a window and of a sample; if unset, the original context, at most 2,048.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// Pieces of a window without a gap.
    pub pieces: usize,
    /// Windows that go through the model at once.
    pub batch: usize,
    /// Batches of a step.
    pub accumulate: usize,
    /// Peak learning rate.
    pub learning_rate: f64,
    /// Rank of the adapters.
    pub rank: usize,
    /// Strength of the adapters, times the rank.
    pub alpha: f64,
    /// Which windows the model is trained on.
    pub data: TrainDataConfig,
}

impl Default for AdaptConfig {
    /// Nothing is adapted. The learning rate is five times that of a fine-tuning of adapters, because the steps are few.
    fn default() -> Self {
        let LoraSettings { rank, alpha, .. } = LoraSettings::default();
        Self {
            steps: 0,
            window: None,
            pieces: 4,
            batch: 1,
            accumulate: 1,
            learning_rate: 1e-3,
            rank,
            alpha,
            data: TrainDataConfig::default(),
        }
    }
}

/// What must be the same for a search with adaptation to be continued.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordedAdapt {
    pub(super) settings: AdaptConfig,
    pub(super) target: usize,
    /// Fingerprint of the text that is trained on.
    pub(super) text_fingerprint: String,
    /// Whether documents lack the beginning-of-text token of the model, because its tokenizer does not put it there.
    /// Earlier versions put it before all.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    without_bos: bool,
    /// Whether generated documents are tokenized like whole texts where that makes a difference. Earlier versions put a
    /// space before every piece of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    whole_texts: bool,
    /// Whether each generated document is as it is alone: without begin and end tokens of other documents in the middle, and at
    /// positions from 0 in layers with a sliding window too. Earlier versions did neither.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    documents_alone: bool,
}

impl RecordedAdapt {
    /// The token to put before every document of a search that has begun so, given that of the model.
    fn bos(&self, of_model: Option<u32>) -> Option<u32> {
        of_model.filter(|_| !self.without_bos)
    }

    /// What of a search that has begun so goes on as before.
    fn as_before(&self) -> AsBefore {
        if self.documents_alone {
            AsBefore::default()
        } else {
            AsBefore::ALL
        }
    }
}

impl AdaptConfig {
    /// Whether there is anything to train.
    pub fn is_on(&self) -> bool {
        self.steps > 0
    }

    /// Whether all keys have their defaults.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Tokens of a window, for a model with this original context.
    pub fn window(&self, original_context: usize) -> usize {
        self.window
            .unwrap_or_else(|| original_context.min(LONGEST_WINDOW))
    }

    /// The training, at positions in texts of `target` tokens.
    pub fn training(&self, target: usize) -> TrainConfig {
        TrainConfig {
            steps: self.steps,
            batch: self.batch,
            accumulate: self.accumulate,
            learning_rate: Some(self.learning_rate),
            warmup_steps: self.steps / STEPS_PER_WARMUP,
            decay: Decay::Linear,
            mode: TrainMode::Lora,
            lora: LoraSettings {
                rank: self.rank,
                alpha: self.alpha,
                target_modules: None,
            },
            data: self.data.clone(),
            positions: Positions::Skipped,
            skipped: SkippedPositions {
                targets: vec![target],
                pieces: self.pieces,
                share: 1.0,
            },
            ..TrainConfig::default()
        }
    }

    /// How long samples are and where they lie; `None` without adaptation.
    pub(super) fn shape(
        &self,
        original_context: usize,
        target: usize,
        seed: u64,
    ) -> Option<SampleShape> {
        self.is_on().then(|| {
            let skips = Skips {
                target,
                pieces: self.pieces,
                share: 1.0,
            };
            SampleShape::skipped(self.window(original_context), skips, seed)
        })
    }

    /// The adaptation on this text, and what must be the same for it to be continued. `begun` is what was recorded of the
    /// search that is continued.
    ///
    /// # Errors
    /// If windows cannot be made of the text, or the model has no place for adapters.
    pub(super) fn start(
        &self,
        decoder: &Decoder,
        documents: &[TokenDocument],
        tokenizer: Option<&Tokenizer>,
        target: usize,
        seed: u64,
        begun: Option<&RecordedAdapt>,
    ) -> Result<(Arc<Adaptation>, RecordedAdapt)> {
        let of_model = decoder.config().bos_token;
        let bos = match begun {
            Some(begun) => begun.bos(of_model),
            None => document_bos(of_model, tokenizer, documents),
        };
        let as_before = begun.map(RecordedAdapt::as_before).unwrap_or_default();
        let window = self.window(decoder.config().rope.original_context);
        let text_fingerprint = text_fingerprint(documents);
        let documents: Arc<[TokenDocument]> = documents.into();
        let windows = AdapterWindows {
            documents: &documents,
            tokenizer,
            bos,
            window,
            seed,
            as_before,
        };
        let adaptation = Adaptation::new(decoder, self.training(target), windows, target)?;
        let recorded = RecordedAdapt {
            settings: Self {
                window: Some(window),
                ..self.clone()
            },
            target,
            text_fingerprint,
            without_bos: bos != of_model,
            whole_texts: self.data.has_generated_text()
                && tokenizer.is_some_and(Tokenizer::marks_beginnings),
            documents_alone: as_before == AsBefore::default() && self.data.has_generated(),
        };
        Ok((Arc::new(adaptation), recorded))
    }
}

#[cfg(test)]
mod tests;
