//! Whether documents to train on begin with the beginning-of-text token (BOS).

use crate::{TokenDocument, Tokenizer};

/// The token to put before every document to train on: `bos`, the one of the model, if its texts begin with it.
///
/// Texts do where their tokenizer puts it there. Many configurations name a BOS that their tokenizer never writes; for some
/// it is the token at the end of a text. Token ids, which have no tokenizer, do if a document begins with it.
pub fn document_bos(
    bos: Option<u32>,
    tokenizer: Option<&Tokenizer>,
    documents: &[TokenDocument],
) -> Option<u32> {
    bos.filter(|bos| match tokenizer {
        Some(tokenizer) => tokenizer.puts_first(*bos),
        None => documents
            .iter()
            .any(|document| document.tokens.first() == Some(bos)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::{counting_document, tokenizer, tokenizer_from, tokenizer_json};

    #[test]
    fn documents_begin_with_the_token_that_the_tokenizer_puts_there() {
        let with = tokenizer();
        assert_eq!(document_bos(Some(0), Some(&with), &[]), Some(0));
        assert_eq!(document_bos(Some(7), Some(&with), &[]), None);
        assert_eq!(document_bos(None, Some(&with), &[]), None);
        let mut json = tokenizer_json();
        json["post_processor"] = json!(null);
        let without = tokenizer_from(&json);
        let documents = [counting_document("a", 3)];
        assert_eq!(document_bos(Some(0), Some(&without), &documents), None);
        // At the end of a text it is no beginning.
        json["post_processor"] = tokenizer_json()["post_processor"].clone();
        let parts = json["post_processor"]["single"].as_array_mut().unwrap();
        parts.reverse();
        let after = tokenizer_from(&json);
        assert_eq!(document_bos(Some(0), Some(&after), &documents), None);
    }

    #[test]
    fn token_ids_begin_with_it_if_a_document_does() {
        let documents = [counting_document("a", 3), counting_document("b", 0)];
        assert_eq!(document_bos(Some(0), None, &documents), Some(0));
        assert_eq!(document_bos(Some(1), None, &documents), None);
        assert_eq!(document_bos(Some(0), None, &[]), None);
    }
}
