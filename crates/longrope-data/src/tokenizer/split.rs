//! Where a long text can be cut so that its pieces have the tokens of the whole text.
//!
//! Byte-level BPE tokenizers first cut the text into words with a regular expression, then work on each word alone. In
//! the expressions listed here a space can only be the first character of a word or part of a run of white space, and
//! the only look-ahead comes after such a run. So there is always a word boundary between a character that is not white
//! space and a space, and cutting there changes nothing. With all other tokenizers texts are not cut.

use serde::Deserialize;
use serde_json::Value;

/// The regular expressions for which the argument above was checked.
const WORD_EXPRESSIONS: [&str; 3] = [
    // LLaMA 3
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // Qwen 2
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    // Phi-4
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
];

/// The parts of a `tokenizer.json` that matter here; the vocabulary is skipped.
#[derive(Deserialize)]
struct TokenizerFile {
    #[serde(default)]
    added_tokens: Vec<AddedToken>,
    normalizer: Option<Value>,
    pre_tokenizer: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct AddedToken {
    content: String,
    single_word: bool,
    lstrip: bool,
    rstrip: bool,
}

#[derive(Deserialize)]
struct Model {
    r#type: Option<String>,
    dropout: Option<f32>,
}

/// Whether texts may be cut by [`pieces`] with this `tokenizer.json`; `false` in doubt.
pub(crate) fn is_splittable(tokenizer_json: &[u8]) -> bool {
    let Ok(file) = serde_json::from_slice::<TokenizerFile>(tokenizer_json) else {
        return false;
    };
    // An added token that contains or strips white space could lie across a cut.
    let added_tokens_are_words = file.added_tokens.iter().all(|token| {
        !(token.single_word
            || token.lstrip
            || token.rstrip
            || token.content.contains(char::is_whitespace))
    });
    // NFC does not combine a space with its neighbours, and does not add or remove spaces.
    let normalizer_is_local = file
        .normalizer
        .as_ref()
        .is_none_or(|normalizer| normalizer["type"] == "NFC");
    let is_plain_bpe = file.model.r#type.as_deref() == Some("BPE")
        && file.model.dropout.is_none_or(|dropout| dropout == 0.0);
    let words = file.pre_tokenizer.as_ref().and_then(makes_words);
    added_tokens_are_words && normalizer_is_local && is_plain_bpe && words == Some(true)
}

/// Whether a pre-tokenizer has a word boundary at every cut; `None` for unknown pre-tokenizers.
fn makes_words(pre_tokenizer: &Value) -> Option<bool> {
    match pre_tokenizer["type"].as_str()? {
        "Sequence" => {
            let parts: Option<Vec<bool>> = pre_tokenizer["pretokenizers"]
                .as_array()?
                .iter()
                .map(makes_words)
                .collect();
            Some(parts?.contains(&true))
        }
        "Digits" => Some(false),
        "ByteLevel" if pre_tokenizer["add_prefix_space"] == false => {
            Some(pre_tokenizer["use_regex"] != false)
        }
        "Split" => {
            let expression = pre_tokenizer["pattern"]["Regex"].as_str()?;
            let known = WORD_EXPRESSIONS.contains(&expression)
                && pre_tokenizer["behavior"] == "Isolated"
                && pre_tokenizer["invert"] == false;
            known.then_some(true)
        }
        _ => None,
    }
}

/// Cuts `text` into pieces of about `piece_bytes`, only between a visible character and a space.
pub(crate) fn pieces(text: &str, piece_bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, tail) = rest.split_at(next_cut(rest, piece_bytes).unwrap_or(rest.len()));
        rest = tail;
        Some(piece)
    })
}

fn next_cut(text: &str, from: usize) -> Option<usize> {
    let candidates = text
        .as_bytes()
        .iter()
        .enumerate()
        .skip(from.max(1))
        .filter(|(_, byte)| **byte == b' ');
    candidates.map(|(cut, _)| cut).find(|cut| {
        text[..*cut]
            .chars()
            .next_back()
            .is_some_and(|before| !before.is_whitespace())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::tokenizer_json;

    fn splittable(change: impl FnOnce(&mut Value)) -> bool {
        let mut json = tokenizer_json();
        change(&mut json);
        is_splittable(json.to_string().as_bytes())
    }

    #[test]
    fn pieces_are_cut_before_a_space_only() {
        let cut = |text, n| pieces(text, n).collect::<Vec<_>>();
        assert_eq!(cut("ab cd  ef\n gh", 1), ["ab", " cd", "  ef\n gh"]);
        assert_eq!(cut("ab cd  ef", 4), ["ab cd", "  ef"]);
        assert_eq!(cut("日本 語", 1), ["日本", " 語"]);
        assert_eq!(cut("abc", 100), ["abc"]);
        assert!(cut("", 1).is_empty());
    }

    #[test]
    fn known_tokenizers_are_split() {
        assert!(splittable(|_| ()));
        assert!(splittable(
            |json| json["normalizer"] = json!({ "type": "NFC" })
        ));
        let split = |expression: &str| {
            json!({ "type": "Sequence", "pretokenizers": [
                { "type": "Split", "pattern": { "Regex": expression }, "behavior": "Isolated", "invert": false },
                { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false }
            ]})
        };
        for expression in WORD_EXPRESSIONS {
            assert!(splittable(|json| json["pre_tokenizer"] = split(expression)));
        }
        assert!(!splittable(|json| json["pre_tokenizer"] = split(r"\S+ \S+")));
    }

    #[test]
    fn everything_else_stays_whole() {
        assert!(!is_splittable(b"not json"));
        assert!(!splittable(|json| json["pre_tokenizer"] = json!(null)));
        assert!(!splittable(
            |json| json["pre_tokenizer"]["add_prefix_space"] = json!(true)
        ));
        assert!(!splittable(
            |json| json["pre_tokenizer"]["use_regex"] = json!(false)
        ));
        assert!(!splittable(
            |json| json["pre_tokenizer"] = json!({ "type": "Metaspace" })
        ));
        assert!(!splittable(
            |json| json["normalizer"] = json!({ "type": "Prepend", "prepend": "▁" })
        ));
        assert!(!splittable(
            |json| json["added_tokens"][0]["rstrip"] = json!(true)
        ));
        assert!(!splittable(
            |json| json["added_tokens"][0]["content"] = json!("<a b>")
        ));
        assert!(!splittable(|json| json["model"]["dropout"] = json!(0.1)));
    }
}
