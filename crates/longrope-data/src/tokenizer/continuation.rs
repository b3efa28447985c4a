//! The tokens of a text that continues another one.
//!
//! Many tokenizers, such as those of LLaMA 2 and Mistral, put a space (`▁`) before every text. Texts that are tokenized
//! piece by piece would then have spaces that the whole text does not have.

use crate::Result;

/// Texts to put before one that continues. In a given vocabulary, some of them may be unknown, or merge with what follows.
const BEFORE: [&str; 6] = ["=", "\n", "7", ")", "z", "|"];

/// How a tokenizer makes tokens of a text that continues another one.
#[derive(Clone, Debug, Default)]
pub(super) struct Continuation {
    /// Texts to put before, with their own tokens; empty if texts have the same tokens everywhere.
    before: Vec<(&'static str, Vec<u32>)>,
}

impl Continuation {
    /// That of a tokenizer, given how it makes tokens of a whole text.
    pub(super) fn of(encode: impl Fn(&str) -> Result<Vec<u32>>) -> Self {
        let tokens_of = |text: &str| encode(text).ok().filter(|tokens| !tokens.is_empty());
        // A vocabulary without this letter has no words that a space could be put before.
        let Some(alone) = tokens_of("a") else {
            return Self::default();
        };
        let before: Vec<_> = BEFORE
            .into_iter()
            .filter_map(|text| Some((text, tokens_of(text)?)))
            .collect();
        let is_same_after = |(text, own): &(&str, Vec<u32>)| {
            tokens_of(&format!("{text}a")) == Some([own.as_slice(), &alone].concat())
        };
        if before.iter().any(is_same_after) {
            return Self::default();
        }
        Self { before }
    }

    /// Whether texts have other tokens at their beginning than where they continue another one.
    pub(super) fn differs(&self) -> bool {
        !self.before.is_empty()
    }

    /// The tokens of a text after another one, given how the tokenizer makes tokens of a whole text.
    pub(super) fn encode(
        &self,
        text: &str,
        encode: impl Fn(&str) -> Result<Vec<u32>>,
    ) -> Result<Vec<u32>> {
        for (before, own) in &self.before {
            let mut tokens = encode(&format!("{before}{text}"))?;
            // Otherwise the two have merged.
            if tokens.starts_with(own) {
                return Ok(tokens.split_off(own.len()));
            }
        }
        encode(text)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::fixtures::{sentencepiece_json, tokenizer, tokenizer_from, tokenizer_json};

    #[test]
    fn pieces_have_the_tokens_of_the_whole_text() {
        let tokenizer = tokenizer_from(&sentencepiece_json());
        assert!(tokenizer.marks_beginnings());
        let pieces = ["The key is", " 12345", ".", "\nIs it?", "=7", " ", "", "é"];
        let mut joined = tokenizer.encode(pieces[0], false).unwrap();
        for piece in &pieces[1..] {
            joined.extend(tokenizer.encode_continuation(piece).unwrap());
        }
        assert_eq!(joined, tokenizer.encode(&pieces.concat(), false).unwrap());
        assert!(tokenizer.encode_continuation("").unwrap().is_empty());
        let [space, one] = ["▁", "1"].map(|token| tokenizer.token_id(token).unwrap());
        assert_eq!(tokenizer.encode_continuation(" 1").unwrap(), [space, one]);
        assert_eq!(tokenizer.encode(" 1", false).unwrap(), [space, space, one]);
    }

    #[test]
    fn so_they_have_if_words_are_marked_by_a_pre_tokenizer() {
        let mut json = sentencepiece_json();
        json["normalizer"] = json!(null);
        json["pre_tokenizer"] = json!({
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false
        });
        let tokenizer = tokenizer_from(&json);
        assert!(tokenizer.marks_beginnings());
        let whole = tokenizer.encode("The key is 1.", false).unwrap();
        let mut joined = tokenizer.encode("The key is", false).unwrap();
        joined.extend(tokenizer.encode_continuation(" 1.").unwrap());
        assert_eq!(joined, whole);
    }

    #[test]
    fn a_text_that_merges_with_what_is_put_before_it_is_tokenized_after_something_else() {
        let mut json = sentencepiece_json();
        let merges = json["model"]["merges"].as_array_mut().unwrap();
        merges.insert(0, json!(["=", "."]));
        json["model"]["vocab"]["=."] = json!(1000);
        let tokenizer = tokenizer_from(&json);
        let full_stop = tokenizer.token_id(".").unwrap();
        assert_eq!(tokenizer.encode_continuation(".").unwrap(), [full_stop]);
    }

    #[test]
    fn byte_level_tokenizers_make_the_same_tokens_everywhere() {
        let mut merging = tokenizer_json();
        // As some do that have no words: "=" and "a" become one token.
        let merges = merging["model"]["merges"].as_array_mut().unwrap();
        merges.insert(0, json!(["=", "a"]));
        merging["model"]["vocab"]["=a"] = json!(261);
        merging["pre_tokenizer"]["use_regex"] = json!(false);
        for tokenizer in [tokenizer(), tokenizer_from(&merging)] {
            assert!(!tokenizer.marks_beginnings());
            for text in ["the a", " the", "\n the", "", "a", "."] {
                let alone = tokenizer.encode(text, false).unwrap();
                assert_eq!(tokenizer.encode_continuation(text).unwrap(), alone);
            }
        }
    }
}
