//! Training windows in the shares of a configuration.

use std::sync::Arc;

use longrope_data::{
    Goal, Grouping, Mixture, MixturePart, PackedStream, PackingConfig, SyntheticConfig,
    SyntheticKind, SyntheticStream, TokenDocument, Tokenizer, WindowSource,
};
use longrope_model::ModelConfig;

use super::config::TrainConfig;
use super::data_config::TrainDataConfig;
use super::positions::LongWindows;
use crate::error::{Error, Result};

/// Loads the tokenizer of generated documents.
pub(super) type LoadTokenizer<'a> = &'a dyn Fn() -> longrope_data::Result<Arc<Tokenizer>>;

/// The windows of `config`, `context` tokens each, and longer ones in their share, of documents that begin with `bos`.
/// Generated ones need the tokenizer.
///
/// # Errors
/// [`Error::NothingToTrainOn`] if all shares are 0, [`Error::Windows`] if a part cannot be made into windows,
/// [`Error::NoTokenizer`] for generated documents without a tokenizer.
pub(super) fn mixture(
    train: &TrainConfig,
    documents: &Arc<[TokenDocument]>,
    tokenizer: Option<LoadTokenizer<'_>>,
    model: &ModelConfig,
    bos: Option<u32>,
    context: usize,
    seed: u64,
) -> Result<Mixture> {
    let (config, long, distill) = (&train.data, train.long, &train.distill);
    let sources = Sources {
        config,
        documents,
        tokenizer,
        bos,
        eos: model.eos_tokens.first().copied(),
    };
    let original = model.rope.original_context.min(context);
    let mut parts = Parts::default();
    let compared = |goal, seed| {
        let packing = PackingConfig::compared(context, original, goal, seed);
        sources.packed(packing)
    };
    parts.add("short states", distill.short, || {
        compared(Goal::ShortStates, seed.wrapping_add(11))
    })?;
    parts.add("far states", distill.far, || {
        compared(Goal::FarStates, seed.wrapping_add(12))
    })?;
    for length in Length::all(config, context, long, seed) {
        let [text, passkey, recall, copying] = length.parts;
        let (scale, seed) = (length.share, length.seed);
        parts.add(text, scale * config.text, || {
            sources.packed(PackingConfig::new(length.window, seed))
        })?;
        if length.window == context {
            let seed = seed.wrapping_add(1);
            parts.add("short", config.short, || {
                sources.packed(PackingConfig::short(context, original, seed))
            })?;
        }
        parts.add(passkey, scale * config.passkey, || {
            sources.generated(SyntheticKind::Passkey {}, &length, seed.wrapping_add(2))
        })?;
        parts.add(recall, scale * config.recall, || {
            sources.generated(SyntheticKind::RECALL, &length, seed.wrapping_add(3))
        })?;
        parts.add(copying, scale * config.copying, || {
            sources.generated(SyntheticKind::COPYING, &length, seed.wrapping_add(4))
        })?;
    }
    if parts.0.is_empty() {
        return Err(Error::NothingToTrainOn);
    }
    // Windows under different RoPEs, of different lengths or with different goals cannot share a batch.
    let grouping = if config.short > 0.0 || long.is_some() || distill.is_on() {
        Grouping::Batch
    } else {
        Grouping::Window
    };
    Ok(Mixture::new(parts.0, grouping)?)
}

/// The parts of a mixture.
#[derive(Default)]
struct Parts(Vec<MixturePart>);

impl Parts {
    /// Adds a part if it has a share.
    fn add(
        &mut self,
        part: &'static str,
        share: f64,
        source: impl FnOnce() -> Result<WindowSource>,
    ) -> Result<()> {
        if share > 0.0 {
            let source = source().map_err(|error| match error {
                Error::Data(source) => Error::Windows { part, source },
                other => other,
            })?;
            self.0.push(MixturePart {
                name: part.to_owned(),
                share,
                source,
            });
        }
        Ok(())
    }
}

/// What the windows of all parts are made from.
struct Sources<'a> {
    config: &'a TrainDataConfig,
    documents: &'a Arc<[TokenDocument]>,
    tokenizer: Option<LoadTokenizer<'a>>,
    bos: Option<u32>,
    eos: Option<u32>,
}

impl Sources<'_> {
    /// Windows of the documents, packed as `packing` says.
    fn packed(&self, mut packing: PackingConfig) -> Result<WindowSource> {
        packing.bos = self.bos;
        packing.eos = self.eos;
        packing.overflow = self.config.overflow;
        packing
            .length_weights
            .clone_from(&self.config.length_weights);
        let stream = PackedStream::new(Arc::clone(self.documents), packing)?;
        Ok(WindowSource::Packed(stream))
    }

    /// Windows of generated documents.
    fn generated(&self, kind: SyntheticKind, length: &Length, seed: u64) -> Result<WindowSource> {
        let has_corpus = !self.documents.is_empty();
        let generated = SyntheticConfig {
            bos: self.bos,
            eos: self.eos,
            shortest: length.shortest,
            answer_weight: self.config.answer_weight,
            corpus_share: if has_corpus { 0.5 } else { 0.0 },
            ..SyntheticConfig::new(kind, length.window, seed)
        };
        let load = self.tokenizer.ok_or(Error::NoTokenizer)?;
        let stream = SyntheticStream::new(generated, load()?, Arc::clone(self.documents))?;
        Ok(WindowSource::Synthetic(stream))
    }
}

/// A length of windows, and what is particular to it.
struct Length {
    /// Tokens of a window.
    window: usize,
    /// Tokens of the shortest generated document.
    shortest: Option<usize>,
    /// The part of all shares that these windows have.
    share: f64,
    /// Names of text, passkeys, recall and copying in these windows.
    parts: [&'static str; 4],
    seed: u64,
}

impl Length {
    /// Windows of `context` tokens, and the longer ones, which hold the documents that others are too short for.
    fn all(
        config: &TrainDataConfig,
        context: usize,
        long: Option<LongWindows>,
        seed: u64,
    ) -> Vec<Self> {
        let normal = Self {
            window: context,
            shortest: config.shortest_document,
            share: 1.0 - long.map_or(0.0, |long| long.share),
            parts: ["text", "passkey", "recall", "copying"],
            seed,
        };
        let long = long.map(|long| Self {
            window: long.context,
            shortest: config.shortest_document.map(|_| context),
            share: long.share,
            parts: ["long text", "long passkey", "long recall", "long copying"],
            seed: seed.wrapping_add(5),
        });
        std::iter::once(normal).chain(long).collect()
    }
}
