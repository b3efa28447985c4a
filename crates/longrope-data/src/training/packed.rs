//! Concatenated documents, cut into windows.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::random::{generator, shuffle, unit};
use crate::training_window::{Goal, RopeChoice, TrainingWindow};
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
    /// Appended to a document that does not end with it.
    pub eos: Option<u32>,
    /// Under which rotary embedding these windows are trained.
    pub rope: RopeChoice,
    /// What these windows teach.
    pub goal: Goal,
    /// Whether attention stays inside a document.
    pub confined: bool,
    /// Longer documents are split into documents of at most this many tokens. Under the original rotary embedding this
    /// is the window the model was trained on.
    pub piece: Option<usize>,
    /// What happens to the rest of a document that a window cannot hold.
    pub overflow: Overflow,
    /// How often documents occur, by length. Of several weights that apply, the one with the largest `at_least` is
    /// used. If none applies, a document occurs once per epoch.
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
            goal: Goal::Text,
            confined: false,
            piece: None,
            overflow: Overflow::Continue,
            length_weights: Vec::new(),
        }
    }

    /// Windows that preserve a model's abilities at its original context: packed short documents that do not attend to
    /// each other, each at most `original_context` long, under the original rotary embedding (`LongRoPE2`, arXiv
    /// 2502.20082, §3.3).
    pub fn short(window: usize, original_context: usize, seed: u64) -> Self {
        Self {
            rope: RopeChoice::Original,
            confined: true,
            piece: Some(original_context),
            ..Self::new(window, seed)
        }
    }

    /// Windows of short text, as [`Self::short`], whose hidden states are compared with those of the original model: under
    /// the extended rotary embedding (`LongReD`, arXiv 2502.07365, §4).
    pub fn compared(window: usize, original_context: usize, goal: Goal, seed: u64) -> Self {
        Self {
            rope: RopeChoice::Rescaled,
            goal,
            ..Self::short(window, original_context, seed)
        }
    }
}

/// What happens to the rest of a document that a window cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Overflow {
    /// The rest begins the next window: every token is trained on.
    #[default]
    Continue,
    /// The rest is dropped: every window begins with the beginning of a document.
    Drop,
}

/// How often documents of some length occur: long ones are rare in most collections (Fu et al., arXiv 2402.10171).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LengthWeight {
    /// Tokens of the shortest document this applies to.
    pub at_least: usize,
    /// Occurrences per epoch, at most [`MOST`](Self::MOST). The fractional part is a probability; 0 excludes documents.
    pub weight: f64,
}

impl LengthWeight {
    /// Largest weight: the order of an epoch has an entry for every occurrence of a document.
    pub const MOST: f64 = 10_000.0;
}

/// A position in a [`PackedStream`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DataCursor {
    /// Complete passes through the documents.
    pub epoch: u64,
    /// Finished documents of this epoch.
    pub n_done: usize,
    /// Tokens of the current document that are done.
    pub offset: usize,
}

/// An endless stream of windows over documents, which have another order in each epoch.
///
/// The order of an epoch depends only on the seed and the number of the epoch, so a [`DataCursor`] is the whole state.
#[derive(Clone, Debug)]
pub struct PackedStream {
    documents: Arc<[TokenDocument]>,
    config: PackingConfig,
    cursor: DataCursor,
    /// Indices of documents in the order of `cursor.epoch`.
    order: Vec<usize>,
}

impl PackedStream {
    /// A stream at its beginning. Documents without tokens are skipped.
    ///
    /// # Errors
    /// - [`Error::ContextTooShort`] for windows, or pieces, below 2 tokens.
    /// - [`Error::BadWeight`] for a weight that is not in `0..=`[`LengthWeight::MOST`].
    /// - [`Error::NothingToTrainOn`] without a document of positive weight.
    pub fn new(documents: Arc<[TokenDocument]>, config: PackingConfig) -> Result<Self> {
        check_context(config.window)?;
        check_context(config.piece.unwrap_or(config.window))?;
        let mut weights = config.length_weights.iter().map(|length| length.weight);
        if let Some(found) = weights.find(|weight| !(0.0..=LengthWeight::MOST).contains(weight)) {
            return Err(Error::BadWeight {
                name: "length weight",
                found,
                expected: "0 to 10,000",
            });
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
            together: Vec::new(),
            rope: self.config.rope,
            goal: self.config.goal,
            loss_weights: None,
        }
    }

    /// The current position.
    pub fn cursor(&self) -> DataCursor {
        self.cursor
    }

    /// Continues from a position of a stream of the same documents and configuration, with exactly the windows that
    /// followed there.
    ///
    /// # Errors
    /// [`Error::BadCursor`] for a position that does not exist in this stream, which then stays where it is.
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

    /// Tokens of the current epoch, including BOS and EOS. Repeated documents count repeatedly.
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
            // With small weights, chance can exclude all documents, but an epoch must not be empty.
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
            .filter(|length| length.at_least <= document.tokens.len())
            .max_by_key(|length| length.at_least)
            .map_or(1.0, |length| length.weight)
    }

    fn wrapped(&self, doc_idx: usize) -> Wrapped<'_> {
        let PackingConfig { bos, eos, .. } = self.config;
        let tokens = self.documents[doc_idx].without_ends(bos, eos);
        Wrapped { bos, tokens, eos }
    }
}

/// A document with BOS and EOS, without copying its tokens.
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

/// Divides documents into those of up to `most` tokens and longer ones.
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
