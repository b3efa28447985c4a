//! The data of a pretraining: text and its tokens.

use std::path::Path;
use std::sync::Arc;

use longrope_data::{
    Document, Grouping, Mixture, MixturePart, PackedStream, PackingConfig, SyntheticConfig,
    SyntheticKind, SyntheticStream, TokenCache, TokenDocument, Tokenizer, WindowSource, sha256_hex,
    text_fingerprint, tokenize_document,
};
use serde::Serialize;

use super::config::{PretrainConfig, PretrainPhase};
use super::digits::grouped;
use super::error::PretrainError;
use super::events::{PretrainEvent, SharedWatch};
use super::start::special_tokens;
use crate::copies::n_copies;
use crate::error::Result;

/// Loss weight above 1 that marks the answers in documents to measure with.
const MARK: f32 = 2.0;

/// The text of a pretraining.
#[derive(Clone, Debug)]
pub struct PretrainTexts {
    /// Documents to train on.
    pub training: Vec<Document>,
    /// Documents to measure on; may be empty.
    pub held_out: Vec<Document>,
    /// Where the text comes from, in words; written to `corpus.json` and the model card.
    pub origin: String,
    /// Packages whose sources should be part of the text but are missing; written to `corpus.json`.
    pub missing: Vec<String>,
}

impl PretrainTexts {
    /// Number of documents to measure on that are also trained on, whatever files they are in.
    pub(super) fn n_not_held_out(&self) -> usize {
        n_copies(
            self.held_out.iter().map(|document| document.text.as_str()),
            self.training.iter().map(|document| document.text.as_str()),
        )
    }

    /// A fingerprint of the training text: of all documents as one text.
    ///
    /// A run folder keeps this fingerprint and [`Self::held_out_fingerprint`], and is resumed only with the same ones, so
    /// both are computed as they were when the folder was begun. Unlike [`text_fingerprint`], they need no tokenizer.
    pub(super) fn training_fingerprint(&self) -> String {
        let texts = self.training.iter();
        let parts: Vec<&[u8]> = texts.map(|document| document.text.as_bytes()).collect();
        sha256_hex(&parts)
    }

    /// A fingerprint of the held-out text, which depends on where each document ends too.
    pub(super) fn held_out_fingerprint(&self) -> String {
        let texts = self.held_out.iter();
        let sums = texts.map(|document| sha256_hex(&[document.text.as_bytes()]));
        sha256_hex(&[sums.collect::<String>().as_bytes()])
    }
}

/// `corpus.json`: the text and tokens of a run.
#[derive(Serialize)]
pub(super) struct CorpusReport {
    format: &'static str,
    version: u32,
    /// Where the text comes from, in words.
    pub(super) origin: String,
    /// Number of training documents.
    pub(super) n_documents: usize,
    /// Number of tokens in them.
    pub(super) n_tokens: usize,
    /// Fingerprint of the training documents.
    pub(super) text_fingerprint: String,
    /// Fingerprint of the held-out documents.
    pub(super) held_out_fingerprint: String,
    /// Fingerprint of the tokenizer.
    pub(super) tokenizer_fingerprint: String,
    /// Packages whose sources were missing.
    missing: Vec<String>,
}

/// Everything that training windows are made of.
pub(super) struct Corpus {
    tokenizer: Arc<Tokenizer>,
    training: Arc<[TokenDocument]>,
    pub(super) held_out: Vec<TokenDocument>,
    pub(super) report: CorpusReport,
    bos: u32,
    eos: u32,
}

impl Corpus {
    /// Checks that every phase has a window to measure on, if there is text for that.
    ///
    /// # Errors
    /// [`PretrainError::HeldOutTooShort`] for the first phase that has none.
    pub(super) fn check_held_out(&self, phases: &[PretrainPhase]) -> Result<()> {
        let lengths = self.held_out.iter().map(|document| document.tokens.len());
        let Some(longest) = lengths.max() else {
            return Ok(());
        };
        match phases.iter().find(|phase| phase.window > longest) {
            None => Ok(()),
            Some(phase) => Err(PretrainError::HeldOutTooShort {
                phase: phase.name.clone(),
                window: phase.window,
                longest,
            }
            .into()),
        }
    }

    /// Tokenizes the texts with the tokenizer of `checkpoint`.
    pub(super) fn new(
        texts: PretrainTexts,
        cache: &TokenCache,
        checkpoint: &Path,
        watch: &SharedWatch,
    ) -> Result<Self> {
        let tokenizer = Arc::new(Tokenizer::from_model_dir(checkpoint)?);
        let (bos, eos) = special_tokens(&tokenizer, checkpoint)?;
        let total = texts.training.len() + texts.held_out.len();
        let mut done = 0;
        watch.event(PretrainEvent::Tokenizing { done, total })?;
        let mut tokenize = |documents: Vec<Document>, special| -> Result<Vec<TokenDocument>> {
            let documents = documents.into_iter().map(|document| {
                let document = tokenize_document(&tokenizer, document, cache, special)?;
                done += 1;
                watch.event(PretrainEvent::Tokenizing { done, total })?;
                Ok(document)
            });
            documents.collect()
        };
        let training: Arc<[TokenDocument]> = tokenize(texts.training, false)?.into();
        let held_out = tokenize(texts.held_out, true)?;
        let report = CorpusReport {
            format: "longrope-corpus",
            version: 1,
            origin: texts.origin,
            n_documents: training.len(),
            n_tokens: training.iter().map(|document| document.tokens.len()).sum(),
            text_fingerprint: text_fingerprint(&training),
            held_out_fingerprint: text_fingerprint(&held_out),
            tokenizer_fingerprint: tokenizer.fingerprint().to_owned(),
            missing: texts.missing,
        };
        tracing::info!(
            documents = report.n_documents,
            tokens = grouped(report.n_tokens),
            "text to train on"
        );
        Ok(Self {
            tokenizer,
            training,
            held_out,
            report,
            bos,
            eos,
        })
    }

    /// The training windows of a phase. Every part of every phase has its own seed.
    pub(super) fn mixture(
        &self,
        config: &PretrainConfig,
        phase_idx: usize,
        seed: u64,
    ) -> Result<Mixture> {
        let phase = &config.phases[phase_idx];
        let seed = |part: u64| seed.wrapping_add(16 * phase_idx as u64 + part);
        let text = PackingConfig {
            bos: Some(self.bos),
            eos: Some(self.eos),
            ..PackingConfig::new(phase.window, seed(0))
        };
        let text = PackedStream::new(Arc::clone(&self.training), text)?;
        let mut parts = vec![MixturePart {
            name: "text".to_owned(),
            share: phase.shares.text,
            source: WindowSource::Packed(text),
        }];
        let generated = [
            ("copying", phase.shares.copying, SyntheticKind::COPYING),
            ("passkey", phase.shares.passkey, SyntheticKind::Passkey {}),
            ("recall", phase.shares.recall, SyntheticKind::RECALL),
        ];
        let weight = config.answer_weight;
        for (part, (name, share, synthetic)) in (1..).zip(generated) {
            // A part without a share may be too long for the window.
            if share > 0.0 {
                let stream = self
                    .generated(config, phase, synthetic, seed(part), weight)
                    .map_err(|source| PretrainError::Documents {
                        kind: name,
                        phase: phase.name.clone(),
                        source,
                    })?;
                parts.push(MixturePart {
                    name: name.to_owned(),
                    share,
                    source: WindowSource::Synthetic(stream),
                });
            }
        }
        let mixture = Mixture::new(parts, Grouping::Window);
        let mixture = mixture.map_err(|source| PretrainError::Shares {
            phase: phase.name.clone(),
            source,
        })?;
        Ok(mixture)
    }

    /// Passkey documents that do not occur in training; `None` if the window is too short for them.
    pub(super) fn passkeys(
        &self,
        config: &PretrainConfig,
        phase: &PretrainPhase,
        seed: u64,
    ) -> Option<SyntheticStream> {
        let seed = seed.wrapping_add(u64::MAX / 2);
        let stream = self.generated(config, phase, SyntheticKind::Passkey {}, seed, MARK);
        stream.ok()
    }

    fn generated(
        &self,
        config: &PretrainConfig,
        phase: &PretrainPhase,
        kind: SyntheticKind,
        seed: u64,
        answer_weight: f32,
    ) -> longrope_data::Result<SyntheticStream> {
        let generated = SyntheticConfig {
            bos: Some(self.bos),
            eos: Some(self.eos),
            answer_weight,
            corpus_share: config.corpus_share,
            ..SyntheticConfig::new(kind, phase.window, seed)
        };
        let (tokenizer, corpus) = (Arc::clone(&self.tokenizer), Arc::clone(&self.training));
        SyntheticStream::new(generated, tokenizer, corpus)
    }
}
