//! Documents as token ids, made from text or read from a file.

use std::path::Path;

use crate::reading::reader;
use crate::token_json::{Element, List};
use crate::{Error, Result};

/// The tokens of one document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenDocument {
    /// Where it came from; see [`Document::source`](crate::Document::source).
    pub source: String,
    /// The token ids.
    pub tokens: Vec<u32>,
}

impl TokenDocument {
    /// The tokens without `bos` at their beginning and `eos` at their end.
    pub fn without_ends(&self, bos: Option<u32>, eos: Option<u32>) -> &[u32] {
        let mut tokens = self.tokens.as_slice();
        if bos.is_some() && tokens.first() == bos.as_ref() {
            tokens = &tokens[1..];
        }
        if eos.is_some() && tokens.last() == eos.as_ref() {
            tokens = &tokens[..tokens.len() - 1];
        }
        tokens
    }
}

/// Some editors put it in front of UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

const EXPECTED: &str = "`[1, 2]`, `[[1, 2], [3]]` or `{\"tokens\": ..}`";

/// Reads token ids from JSON: `[1, 2, 3]`, `[[1, 2], [3]]`, or `{"tokens": ..}` with one of these.
///
/// The documents of a list are named `path#n`, counted from 1. `.gz` and `.zst` are decompressed.
///
/// # Errors
/// - [`Error::NotFound`] and [`Error::Read`].
/// - [`Error::TokensNotJson`] and [`Error::TokensForm`] for other content.
/// - [`Error::NoTokens`] for an empty list.
/// - [`Error::BadTokenId`] for anything but a whole number below `vocab_size`.
pub fn read_token_ids(path: &Path, vocab_size: usize) -> Result<Vec<TokenDocument>> {
    let bytes = reader::read_bytes(path)?;
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&bytes);
    let value: Element = serde_json::from_slice(bytes).map_err(|source| Error::TokensNotJson {
        path: path.to_path_buf(),
        expected: EXPECTED,
        source,
    })?;
    let bad_form = |found: String| Error::TokensForm {
        path: path.to_path_buf(),
        found,
        expected: EXPECTED,
    };
    let value = match value {
        Element::Object(tokens) => {
            *tokens.ok_or_else(|| bad_form("an object without `tokens`".to_owned()))?
        }
        other => other,
    };
    let list = match value {
        Element::List(list) => list,
        other => return Err(bad_form(other.kind())),
    };

    let name = path.display().to_string();
    let begins_with_a_list =
        list.ids.is_empty() && matches!(list.rest.first(), Some(Element::List(_)));
    if !begins_with_a_list {
        return Ok(vec![document(name, list, vocab_size)?]);
    }
    let documents = list
        .rest
        .into_iter()
        .zip(1..)
        .map(|(item, number)| match item {
            Element::List(ids) => document(format!("{name}#{number}"), ids, vocab_size),
            _ => Err(bad_form(
                "documents and bare token ids in one list".to_owned(),
            )),
        });
    documents.collect()
}

fn document(source: String, list: List, vocab_size: usize) -> Result<TokenDocument> {
    let List { ids, rest } = list;
    let bad_id = |token_idx: usize, found: String| Error::BadTokenId {
        location: source.clone(),
        token_idx,
        found,
        vocab_size,
    };
    if let Some(token_idx) = ids.iter().position(|id| *id as usize >= vocab_size) {
        return Err(bad_id(token_idx, ids[token_idx].to_string()));
    }
    if let Some(other) = rest.first() {
        return Err(bad_id(ids.len(), other.found()));
    }
    if ids.is_empty() {
        return Err(Error::NoTokens { location: source });
    }
    Ok(TokenDocument {
        source,
        tokens: ids,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> Result<Vec<TokenDocument>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids.json");
        fs_err::write(&path, content).unwrap();
        read_token_ids(&path, 10)
    }

    #[test]
    fn the_three_forms_are_read() {
        for content in [
            "[1, 2, 9]",
            "[[1, 2, 9]]",
            r#"{"tokens": [1, 2, 9], "note": "x"}"#,
        ] {
            let documents = read(content).unwrap();
            assert_eq!(documents.len(), 1, "{content}");
            assert_eq!(documents[0].tokens, [1, 2, 9], "{content}");
        }
        let documents = read("[[1], [2, 3]]").unwrap();
        assert_eq!(documents[1].tokens, [2, 3]);
        assert!(documents[1].source.ends_with("ids.json#2"));
    }

    #[test]
    fn ids_outside_the_vocabulary_are_named() {
        for (content, idx, expected) in [
            ("[1, 2, 10]", 2, "10"),
            ("[-1]", 0, "-1"),
            ("[1, 2.5]", 1, "2.5"),
            ("[1, 4294967297]", 1, "4294967297"),
            (r#"[1, "2"]"#, 1, "a string"),
        ] {
            let result = read(content);
            assert!(
                matches!(&result, Err(Error::BadTokenId { token_idx, found, .. }) if *token_idx == idx && found == expected),
                "{content}: {result:?}"
            );
        }
        assert!(
            matches!(read("[[1], [99]]"), Err(Error::BadTokenId { location, .. }) if location.ends_with("#2"))
        );
    }

    #[test]
    fn other_contents_are_refused() {
        assert!(matches!(read("[]"), Err(Error::NoTokens { .. })));
        assert!(matches!(read("[[1], []]"), Err(Error::NoTokens { .. })));
        assert!(matches!(
            read("7"),
            Err(Error::TokensForm { found, .. }) if found == "a number"
        ));
        assert!(matches!(
            read(r#"{"ids": [1]}"#),
            Err(Error::TokensForm { .. })
        ));
        assert!(matches!(read("[[1], 2]"), Err(Error::TokensForm { .. })));
        assert!(matches!(read("[1, 2"), Err(Error::TokensNotJson { .. })));
    }
}
