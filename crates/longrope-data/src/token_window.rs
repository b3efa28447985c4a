//! A window with its tokens.

use std::ops::Range;
use std::sync::Arc;

use crate::Sample;

/// A window with its tokens, ready to be scored.
///
/// Windows of one document share its tokens, so many overlapping ones cost little memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenWindow {
    /// The document's index in the list that was planned.
    pub doc_idx: usize,
    /// The document's source.
    pub source: Arc<str>,
    /// The index, in the document, of the first document token in the window.
    pub start: usize,
    /// The tokens of the window from this index on are scored; at least 1.
    pub score_from: usize,
    pub(crate) bos_id: Option<u32>,
    pub(crate) document: Arc<[u32]>,
    /// The tokens of the document that are in the window.
    pub(crate) span: Range<usize>,
}

impl TokenWindow {
    /// The tokens in the order in which the model reads them, with BOS in front if the window has its own.
    pub fn tokens(&self) -> Vec<u32> {
        self.bos_id
            .into_iter()
            .chain(self.document[self.span.clone()].iter().copied())
            .collect()
    }

    /// The number of tokens the model reads.
    pub fn n_tokens(&self) -> usize {
        usize::from(self.bos_id.is_some()) + self.span.len()
    }

    /// The number of tokens that are scored.
    pub fn n_scored(&self) -> usize {
        self.n_tokens() - self.score_from
    }

    /// The index in the document of the window's token `token_idx`; `None` for the window's own BOS and past the end of
    /// the window.
    pub fn document_idx_of(&self, token_idx: usize) -> Option<usize> {
        let offset = token_idx.checked_sub(usize::from(self.bos_id.is_some()))?;
        (offset < self.span.len()).then_some(self.start + offset)
    }
}

/// A sample is a window that scores all its tokens but the first.
impl From<Sample> for TokenWindow {
    fn from(sample: Sample) -> Self {
        let Sample {
            source,
            doc_idx,
            start,
            tokens,
        } = sample;
        Self {
            doc_idx,
            source: source.into(),
            start,
            score_from: 1,
            bos_id: None,
            span: 0..tokens.len(),
            document: tokens.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_becomes_a_window() {
        let sample = Sample {
            source: "a".to_owned(),
            doc_idx: 2,
            start: 10,
            tokens: vec![5, 6, 7],
        };
        let window = TokenWindow::from(sample);
        assert_eq!((window.tokens(), window.n_scored()), (vec![5, 6, 7], 2));
        assert_eq!(window.document_idx_of(1), Some(11));
    }
}
