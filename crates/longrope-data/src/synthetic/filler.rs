//! Text between a fact and the question about it.

use std::sync::Arc;

use rand_chacha::ChaCha8Rng;

use crate::needle::FILLER;
use crate::random::{below, unit};
use crate::{Error, Result, TokenDocument, Tokenizer};

/// Text to fill a window with: the standard sentences, or stretches of a corpus.
#[derive(Clone, Debug)]
pub(crate) struct Filler {
    line_break: Vec<u32>,
    /// The sentences at the beginning of a line, and after others.
    first: Vec<u32>,
    again: Vec<u32>,
    corpus: Corpus,
    corpus_share: f64,
}

/// Text to take stretches of, which is in the middle of another text then.
#[derive(Clone, Debug)]
pub(crate) struct Corpus {
    pub(crate) documents: Arc<[TokenDocument]>,
    /// Tokens at the beginning and at the end of documents, which are left out.
    pub(crate) ends: (Option<u32>, Option<u32>),
}

impl Corpus {
    fn tokens<'a>(&self, document: &'a TokenDocument) -> &'a [u32] {
        let (bos, eos) = self.ends;
        document.without_ends(bos, eos)
    }
}

/// The filler of one document.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FillerKind {
    Sentences,
    Corpus,
}

impl Filler {
    /// Filler in the tokens of this tokenizer.
    ///
    /// # Errors
    /// [`Error::NoFiller`] if the tokenizer has no tokens for the standard sentences.
    pub(crate) fn new(tokenizer: &Tokenizer, corpus: Corpus, corpus_share: f64) -> Result<Self> {
        let mut documents = corpus.documents.iter();
        let has_text = documents.any(|document| !corpus.tokens(document).is_empty());
        let again = tokenizer.encode_continuation(&format!(" {FILLER}"))?;
        if again.is_empty() {
            return Err(Error::NoFiller);
        }
        Ok(Self {
            line_break: tokenizer.encode_continuation("\n")?,
            first: tokenizer.encode_continuation(FILLER)?,
            again,
            corpus,
            corpus_share: if has_text { corpus_share } else { 0.0 },
        })
    }

    pub(crate) fn draw_kind(&self, rng: &mut ChaCha8Rng) -> FillerKind {
        if unit(rng) < self.corpus_share {
            FillerKind::Corpus
        } else {
            FillerKind::Sentences
        }
    }

    /// A line of exactly `n_tokens` tokens. As in the usual tests, it may be cut anywhere.
    pub(crate) fn line(&self, kind: FillerKind, n_tokens: usize, rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut tokens = Vec::with_capacity(n_tokens + self.again.len());
        tokens.extend_from_slice(&self.line_break);
        match kind {
            FillerKind::Sentences => {
                tokens.extend_from_slice(&self.first);
                while tokens.len() < n_tokens {
                    tokens.extend_from_slice(&self.again);
                }
            }
            FillerKind::Corpus => {
                while tokens.len() < n_tokens {
                    let documents = &self.corpus.documents;
                    let document = &documents[below(documents.len(), rng)];
                    let document = self.corpus.tokens(document);
                    if document.is_empty() {
                        continue;
                    }
                    let room = n_tokens - tokens.len();
                    // Any stretch that fills the room; short documents are taken whole.
                    let start = below(document.len().saturating_sub(room) + 1, rng);
                    tokens.extend(document[start..].iter().take(room));
                }
            }
        }
        tokens.truncate(n_tokens);
        tokens
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{tokenizer_from, tokenizer_json};

    #[test]
    fn a_vocabulary_without_the_standard_sentences_is_refused() {
        let mut json = tokenizer_json();
        json["model"]["vocab"] = json!({ "<s>": 0 });
        json["model"]["merges"] = json!([]);
        let corpus = Corpus {
            documents: Arc::new([]),
            ends: (None, None),
        };
        let filler = Filler::new(&tokenizer_from(&json), corpus, 0.0);
        assert!(matches!(filler, Err(Error::NoFiller)), "{filler:?}");
    }
}
