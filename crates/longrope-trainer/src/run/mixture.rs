//! Training windows in the shares of a configuration.

use std::sync::Arc;

use longrope_data::{
    Goal, Grouping, Mixture, MixturePart, PackedStream, PackingConfig, SyntheticConfig,
    SyntheticKind, SyntheticStream, TokenDocument, Tokenizer, WindowSource,
};
use longrope_model::ModelConfig;

use super::as_before::AsBefore;
use super::config::TrainConfig;
use super::data_config::TrainDataConfig;
use super::positions::LongWindows;
use crate::error::{Error, Result};

/// Loads the tokenizer of generated documents.
pub(super) type LoadTokenizer<'a> = &'a dyn Fn() -> longrope_data::Result<Arc<Tokenizer>>;

/// What windows are made from.
pub(super) struct Sources<'a> {
    pub(super) train: &'a TrainConfig,
    pub(super) documents: &'a Arc<[TokenDocument]>,
    /// Needed for generated documents.
    pub(super) tokenizer: Option<LoadTokenizer<'a>>,
    pub(super) model: &'a ModelConfig,
    /// The token that documents begin with.
    pub(super) bos: Option<u32>,
    pub(super) as_before: AsBefore,
}

impl Sources<'_> {
    /// The windows of the configuration, `context` tokens each, and longer ones in their share.
    ///
    /// # Errors
    /// [`Error::NothingToTrainOn`] if all shares are 0, [`Error::Windows`] if a part cannot be made into windows,
    /// [`Error::NoTokenizer`] for generated documents without a tokenizer.
    pub(super) fn mixture(&self, context: usize, seed: u64) -> Result<Mixture> {
        let (config, long) = (&self.train.data, self.train.long);
        let mut parts = Parts::default();
        self.add_compared(&mut parts, context, seed)?;
        for length in Length::all(config, context, long, seed) {
            self.add_text(&mut parts, &length, context)?;
            self.add_generated(&mut parts, &length)?;
        }
        if parts.0.is_empty() {
            return Err(Error::NothingToTrainOn);
        }
        // Windows under different RoPEs, of different lengths or with different goals cannot share a batch.
        let grouping = if config.short > 0.0 || long.is_some() || self.train.distill.is_on() {
            Grouping::Batch
        } else {
            Grouping::Window
        };
        Ok(Mixture::new(parts.0, grouping)?)
    }

    /// Adds the windows whose states are compared with those of the original model.
    fn add_compared(&self, parts: &mut Parts, context: usize, seed: u64) -> Result<()> {
        let (distill, original) = (&self.train.distill, self.original(context));
        let compared = |goal, seed| {
            let packing = PackingConfig::compared(context, original, goal, seed);
            self.packed(packing)
        };
        parts.add("short states", distill.short, || {
            compared(Goal::ShortStates, seed.wrapping_add(11))
        })?;
        parts.add("far states", distill.far, || {
            compared(Goal::FarStates, seed.wrapping_add(12))
        })
    }

    /// Adds the windows of text of a length, and with those of `context` tokens the short texts.
    fn add_text(&self, parts: &mut Parts, length: &Length, context: usize) -> Result<()> {
        let (config, seed) = (&self.train.data, length.seed);
        let [text, ..] = length.parts;
        parts.add(text, length.share * config.text, || {
            self.packed(PackingConfig::new(length.window, seed))
        })?;
        if length.window != context {
            return Ok(());
        }
        parts.add("short", config.short, || {
            let seed = seed.wrapping_add(1);
            self.packed(PackingConfig::short(context, self.original(context), seed))
        })
    }

    /// Adds the generated windows of a length.
    fn add_generated(&self, parts: &mut Parts, length: &Length) -> Result<()> {
        let (config, scale, seed) = (&self.train.data, length.share, length.seed);
        let [_, passkey, recall, copying] = length.parts;
        parts.add(passkey, scale * config.passkey, || {
            self.generated(SyntheticKind::Passkey {}, length, seed.wrapping_add(2))
        })?;
        parts.add(recall, scale * config.recall, || {
            self.generated(SyntheticKind::RECALL, length, seed.wrapping_add(3))
        })?;
        parts.add(copying, scale * config.copying, || {
            self.generated(SyntheticKind::COPYING, length, seed.wrapping_add(4))
        })
    }

    /// The context that the model is trained for, within a window.
    fn original(&self, context: usize) -> usize {
        self.model.rope.original_context.min(context)
    }

    fn eos(&self) -> Option<u32> {
        self.model.eos_tokens.first().copied()
    }

    /// Windows of the documents, packed as `packing` says.
    fn packed(&self, mut packing: PackingConfig) -> Result<WindowSource> {
        let config = &self.train.data;
        packing.bos = self.bos;
        packing.eos = self.eos();
        packing.overflow = config.overflow;
        packing.length_weights.clone_from(&config.length_weights);
        let stream = PackedStream::new(Arc::clone(self.documents), packing)?;
        Ok(WindowSource::Packed(stream))
    }

    /// Windows of generated documents.
    fn generated(&self, kind: SyntheticKind, length: &Length, seed: u64) -> Result<WindowSource> {
        let has_corpus = !self.documents.is_empty();
        let generated = SyntheticConfig {
            bos: self.bos,
            eos: self.eos(),
            shortest: length.shortest,
            answer_weight: self.train.data.answer_weight,
            corpus_share: if has_corpus { 0.5 } else { 0.0 },
            keeps_ends: self.as_before.filler,
            ..SyntheticConfig::new(kind, length.window, seed)
        };
        let load = self.tokenizer.ok_or(Error::NoTokenizer)?;
        let stream = SyntheticStream::new(generated, load()?, Arc::clone(self.documents))?;
        Ok(WindowSource::Synthetic(stream))
    }
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
