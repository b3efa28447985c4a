//! Documents one behind the other, cut into windows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::window::{RopeChoice, TrainingWindow};
use crate::random::{generator, shuffle, unit};
use crate::window::check_context;
use crate::{Error, Result, TokenDocument};

/// How documents become windows.
#[derive(Clone, Debug, PartialEq)]
pub struct PackingConfig {
    /// Tokens of every window.
    pub window: usize,
    /// Seed of the order of documents.
    pub seed: u64,
    /// Put in front of a document that does not begin with it.
    pub bos: Option<u32>,
    /// Put behind a document that does not end with it.
    pub eos: Option<u32>,
    /// Under which rotary embedding these windows are trained.
    pub rope: RopeChoice,
    /// Whether attention stays inside a document.
    pub confined: bool,
    /// Longer documents are several documents of at most this many tokens: under the original rotary embedding, the
    /// window the model was trained on.
    pub piece: Option<usize>,
    /// What happens to the rest of a document that a window cannot hold.
    pub overflow: Overflow,
    /// How often documents occur, by length. Of those that apply the one with the largest `at_least` counts; without
    /// one, a document occurs once per epoch.
    pub length_weights: Vec<LengthWeight>,
}

impl PackingConfig {
    /// Windows of `window` tokens under the extended rotary embedding: documents concatenated and cut, attention over
    /// the whole window, every document once per epoch (`LongRoPE`, arXiv 2402.13753, §4.1).
    pub fn new(window: usize, seed: u64) -> Self {
        Self {
            window,
            seed,
            bos: None,
            eos: None,
            rope: RopeChoice::Rescaled,
            confined: false,
            piece: None,
            overflow: Overflow::Continue,
            length_weights: Vec::new(),
        }
    }

    /// Windows that teach a model to stay what it was: short documents packed, each blind to the others and no longer
    /// than `original_context`, under the original rotary embedding (`LongRoPE2`, arXiv 2502.20082, §3.3).
    pub fn short(window: usize, original_context: usize, seed: u64) -> Self {
        Self {
            rope: RopeChoice::Original,
            confined: true,
            piece: Some(original_context),
            ..Self::new(window, seed)
        }
    }
}

/// What happens to the rest of a document that a window cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// It begins the next window: every token is trained on.
    #[default]
    Continue,
    /// It is left out: every window begins with the beginning of a document.
    Drop,
}

/// How often documents of some length occur: long ones are rare in most collections (Fu et al., arXiv 2402.10171).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LengthWeight {
    /// Tokens from which on this applies.
    pub at_least: usize,
    /// Occurrences per epoch; a fraction is a chance, 0 leaves documents out.
    pub weight: f64,
}

/// A place in a [`PackedStream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataCursor {
    /// Complete passes through the documents.
    pub epoch: u64,
    /// Documents of this pass that are done.
    pub n_done: usize,
    /// Tokens of the next document that are done.
    pub offset: usize,
}

/// An endless stream of windows: in each epoch, the documents in another order.
///
/// The order of an epoch depends on the seed and the number of the epoch only, so a [`DataCursor`] is all there is to
/// remember.
#[derive(Clone, Debug)]
pub struct PackedStream {
    documents: Arc<[TokenDocument]>,
    config: PackingConfig,
    cursor: DataCursor,
    /// Indices of documents in the order of `cursor.epoch`.
    order: Vec<usize>,
}

impl PackedStream {
    /// A stream at its beginning. Documents without tokens are passed over.
    ///
    /// # Errors
    /// - [`Error::ContextTooShort`] for windows, or pieces, below 2 tokens.
    /// - [`Error::BadWeight`] for a weight that is negative or not finite.
    /// - [`Error::NothingToTrainOn`] without a document of positive weight.
    pub fn new(documents: Arc<[TokenDocument]>, config: PackingConfig) -> Result<Self> {
        check_context(config.window)?;
        check_context(config.piece.unwrap_or(config.window))?;
        for LengthWeight { weight, .. } in &config.length_weights {
            if !weight.is_finite() || *weight < 0.0 {
                return Err(Error::BadWeight {
                    name: "length weight",
                    found: *weight,
                });
            }
        }
        let mut stream = Self {
            documents,
            config,
            cursor: DataCursor::default(),
            order: Vec::new(),
        };
        if (0..stream.documents.len()).all(|doc_idx| stream.weight(doc_idx) == 0.0) {
            return Err(Error::NothingToTrainOn {
                n_documents: stream.documents.len(),
            });
        }
        stream.order = stream.order_of(0);
        Ok(stream)
    }

    /// The next window.
    pub fn next_window(&mut self) -> TrainingWindow {
        let window = self.config.window;
        let piece = self.config.piece.unwrap_or(usize::MAX);
        let mut tokens = Vec::with_capacity(window);
        let mut document_starts = Vec::new();
        while tokens.len() < window {
            let offset = self.cursor.offset;
            if tokens.is_empty() || offset.is_multiple_of(piece) {
                document_starts.push(tokens.len());
            }
            let document = self.wrapped(self.order[self.cursor.n_done]);
            let end = document
                .len()
                .min(offset + (window - tokens.len()))
                .min(offset + (piece - offset % piece));
            document.copy(offset, end, &mut tokens);
            let is_done = end == document.len();
            self.cursor.offset = end;
            if is_done {
                self.next_document();
            }
        }
        if self.config.overflow == Overflow::Drop && self.cursor.offset > 0 {
            self.next_document();
        }
        TrainingWindow {
            tokens,
            document_starts,
            confined: self.config.confined,
            rope: self.config.rope,
            loss_weights: None,
        }
    }

    /// Where the stream is.
    pub fn cursor(&self) -> DataCursor {
        self.cursor
    }

    /// Goes on from a place of a stream of the same documents and configuration, exactly as that one would have.
    ///
    /// # Errors
    /// [`Error::BadCursor`] for a place that this stream does not have; it then stays where it is.
    pub fn seek(&mut self, cursor: DataCursor) -> Result<()> {
        let order = self.order_of(cursor.epoch);
        let bad_cursor = |found| Error::BadCursor { found };
        let doc_idx = order.get(cursor.n_done).ok_or_else(|| {
            bad_cursor(format!(
                "document {} of {} in epoch {}",
                cursor.n_done,
                order.len(),
                cursor.epoch
            ))
        })?;
        let n_tokens = self.wrapped(*doc_idx).len();
        if cursor.offset >= n_tokens {
            return Err(bad_cursor(format!(
                "token {} of {n_tokens} in document {}",
                cursor.offset, cursor.n_done
            )));
        }
        (self.order, self.cursor) = (order, cursor);
        Ok(())
    }

    /// Tokens of one window.
    pub fn window(&self) -> usize {
        self.config.window
    }

    /// Under which rotary embedding the windows are trained.
    pub fn rope(&self) -> RopeChoice {
        self.config.rope
    }

    /// Tokens of the current epoch: documents with their surrounding tokens, as often as they occur.
    pub fn epoch_tokens(&self) -> usize {
        let length = |doc_idx: &usize| self.wrapped(*doc_idx).len();
        self.order.iter().map(length).sum()
    }

    fn next_document(&mut self) {
        self.cursor.offset = 0;
        self.cursor.n_done += 1;
        if self.cursor.n_done == self.order.len() {
            self.cursor.n_done = 0;
            self.cursor.epoch += 1;
            self.order = self.order_of(self.cursor.epoch);
        }
    }

    fn order_of(&self, epoch: u64) -> Vec<usize> {
        let mut rng = generator(self.config.seed, epoch);
        let mut order = Vec::new();
        for doc_idx in 0..self.documents.len() {
            let mut left = self.weight(doc_idx);
            while left >= 1.0 {
                order.push(doc_idx);
                left -= 1.0;
            }
            if left > 0.0 && unit(&mut rng) < left {
                order.push(doc_idx);
            }
        }
        if order.is_empty() {
            // Small weights and bad luck: an epoch has to have something.
            order.extend((0..self.documents.len()).filter(|doc_idx| self.weight(*doc_idx) > 0.0));
        }
        shuffle(&mut order, &mut rng);
        order
    }

    fn weight(&self, doc_idx: usize) -> f64 {
        let document = self.wrapped(doc_idx);
        if document.tokens.is_empty() {
            return 0.0;
        }
        let applying = self.config.length_weights.iter();
        applying
            .filter(|it| it.at_least <= document.tokens.len())
            .max_by_key(|it| it.at_least)
            .map_or(1.0, |it| it.weight)
    }

    fn wrapped(&self, doc_idx: usize) -> Wrapped<'_> {
        let PackingConfig { bos, eos, .. } = self.config;
        let mut tokens = self.documents[doc_idx].tokens.as_slice();
        if bos.is_some() && tokens.first() == bos.as_ref() {
            tokens = &tokens[1..];
        }
        if eos.is_some() && tokens.last() == eos.as_ref() {
            tokens = &tokens[..tokens.len() - 1];
        }
        Wrapped { bos, tokens, eos }
    }
}

/// A document between its surrounding tokens, without a copy of it.
struct Wrapped<'a> {
    bos: Option<u32>,
    tokens: &'a [u32],
    eos: Option<u32>,
}

impl Wrapped<'_> {
    fn len(&self) -> usize {
        usize::from(self.bos.is_some()) + self.tokens.len() + usize::from(self.eos.is_some())
    }

    fn copy(&self, start: usize, end: usize, into: &mut Vec<u32>) {
        let before = usize::from(self.bos.is_some());
        if start < before {
            into.extend(self.bos);
        }
        let inside = |at: usize| at.saturating_sub(before).min(self.tokens.len());
        into.extend_from_slice(&self.tokens[inside(start)..inside(end)]);
        if end > before + self.tokens.len() {
            into.extend(self.eos);
        }
    }
}

/// Documents of up to `most` tokens, and the longer ones.
pub fn partition_by_length(
    documents: Vec<TokenDocument>,
    most: usize,
) -> (Vec<TokenDocument>, Vec<TokenDocument>) {
    documents
        .into_iter()
        .partition(|document| document.tokens.len() <= most)
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
