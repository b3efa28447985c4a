//! Documents to token documents.

use crate::{Document, Error, Result, TokenCache, TokenDocument, Tokenizer};

/// Tokenizes documents with the special tokens that the tokenizer puts around a text, without a cache.
///
/// # Errors
/// [`Error::Tokenize`].
pub fn tokenize(tokenizer: &Tokenizer, documents: Vec<Document>) -> Result<Vec<TokenDocument>> {
    let documents = documents.into_iter().map(Ok);
    tokenize_documents(tokenizer, documents, &TokenCache::disabled(), true)
}

/// Tokenizes documents one after the other, through a cache.
///
/// Takes the iterator of [`stream_documents`](crate::stream_documents), so that only one text is in memory. For
/// documents in memory, pass `documents.into_iter().map(Ok)`.
///
/// # Errors
/// The first error of the iterator or of [`tokenize_document`].
pub fn tokenize_documents(
    tokenizer: &Tokenizer,
    documents: impl IntoIterator<Item = Result<Document>>,
    cache: &TokenCache,
    special: bool,
) -> Result<Vec<TokenDocument>> {
    documents
        .into_iter()
        .map(|document| tokenize_document(tokenizer, document?, cache, special))
        .collect()
}

/// Tokenizes one document, or takes its tokens from the cache. `special` is passed to [`Tokenizer::encode`].
///
/// # Errors
/// [`Error::Tokenize`], which names the document. Failures of the cache are not errors.
pub fn tokenize_document(
    tokenizer: &Tokenizer,
    document: Document,
    cache: &TokenCache,
    special: bool,
) -> Result<TokenDocument> {
    let Document { source, text } = document;
    let tokens = match cache.get_or_encode(tokenizer, &text, special) {
        Ok(tokens) => tokens,
        Err(error) => {
            return Err(Error::Tokenize {
                document: source,
                source: Box::new(error),
            });
        }
    };
    tracing::debug!(%source, n_bytes = text.len(), n_tokens = tokens.len(), "document tokenized");
    Ok(TokenDocument { source, tokens })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::tokenizer;

    #[test]
    fn documents_keep_their_order_and_names() {
        let document = |text: &str| {
            Ok(Document {
                source: format!("{text}.txt"),
                text: text.to_owned(),
            })
        };
        let tokenizer = tokenizer();
        let documents = tokenize_documents(
            &tokenizer,
            [document("the"), document("a")],
            &TokenCache::disabled(),
            true,
        )
        .unwrap();
        let expected = ["the", "a"].map(|text| {
            (
                format!("{text}.txt"),
                vec![0, tokenizer.token_id(text).unwrap()],
            )
        });
        assert_eq!(
            documents
                .into_iter()
                .map(|document| (document.source, document.tokens))
                .collect::<Vec<_>>(),
            expected
        );
    }

    #[test]
    fn the_short_form_adds_special_tokens() {
        let documents = vec![Document {
            source: "a.txt".to_owned(),
            text: "the".to_owned(),
        }];
        let tokenizer = tokenizer();
        let documents = tokenize(&tokenizer, documents).unwrap();
        assert_eq!(documents[0].source, "a.txt");
        assert_eq!(documents[0].tokens, [0, tokenizer.token_id("the").unwrap()]);
    }

    #[test]
    fn an_unreadable_document_is_an_error() {
        let result = tokenize_documents(
            &tokenizer(),
            [Err(Error::NoPaths)],
            &TokenCache::disabled(),
            true,
        );
        assert!(matches!(result, Err(Error::NoPaths)));
    }
}
