//! Trains a byte-level BPE tokenizer with one token per digit.

use std::path::Path;

use serde_json::{Value, json};
use tokenizers::AddedToken;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::BpeTrainer;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use super::hugging_face::in_fence;
use crate::atomic::write_atomically;
use crate::{Error, Result};

/// Token at the beginning of every text, id 0. The tokenizer adds it.
pub const BOS_TOKEN: &str = "<s>";
/// Token at the end of a text, id 1. The tokenizer does not add it.
pub const EOS_TOKEN: &str = "</s>";
/// The special tokens and the bytes.
const LEAST_VOCAB: usize = 2 + 256;

/// How a tokenizer is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenizerTraining {
    /// Number of tokens, including special tokens and bytes. There are fewer if the text does not have enough pairs.
    pub vocab_size: usize,
    /// How often a pair must occur to become a token.
    pub min_frequency: u64,
    /// Bytes of the longest token. Without a limit, lines of dashes become tokens.
    pub longest_token: usize,
}

impl TokenizerTraining {
    /// `vocab_size` tokens of up to 16 bytes that occur at least twice.
    pub fn new(vocab_size: usize) -> Self {
        Self {
            vocab_size,
            min_frequency: 2,
            longest_token: 16,
        }
    }
}

/// The `tokenizer.json` of a byte-level BPE trained on `texts`.
///
/// The same texts give the same tokenizer: the most frequent pair is merged first, and of equally frequent pairs the
/// one with the smaller ids. Every digit is a token of its own, so that numbers are copied digit by digit.
///
/// # Errors
/// [`Error::VocabTooSmall`] below the special tokens and the 256 bytes, [`Error::TokenizerTraining`] if the tokenizer
/// library fails.
pub fn train_tokenizer<S: AsRef<str> + Send>(
    texts: impl Iterator<Item = S> + Send,
    training: TokenizerTraining,
) -> Result<String> {
    if training.vocab_size < LEAST_VOCAB {
        return Err(Error::VocabTooSmall {
            found: training.vocab_size,
            needed: LEAST_VOCAB,
        });
    }
    let failed = |source| Error::TokenizerTraining { source };
    let special = |token: &str| AddedToken::from(token, true);
    let mut trainer = TrainerWrapper::BpeTrainer(
        BpeTrainer::builder()
            .vocab_size(training.vocab_size)
            .min_frequency(training.min_frequency)
            .max_token_length(Some(training.longest_token))
            .show_progress(false)
            .special_tokens(vec![special(BOS_TOKEN), special(EOS_TOKEN)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build(),
    );
    in_fence(|| {
        let mut tokenizer = tokenizers::Tokenizer::from_bytes(untrained().to_string())?;
        tokenizer.train(&mut trainer, texts)?;
        tokenizer.to_string(true)
    })
    .map_err(failed)
}

/// Writes `tokenizer.json`, and the `tokenizer_config.json` that transformers reads.
///
/// # Errors
/// [`Error::Write`].
pub fn save_tokenizer(folder: &Path, tokenizer_json: &str) -> Result<()> {
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS_TOKEN,
        "eos_token": EOS_TOKEN,
        "clean_up_tokenization_spaces": false,
    });
    for (name, content) in [
        ("tokenizer.json", tokenizer_json),
        ("tokenizer_config.json", &format!("{config:#}\n")),
    ] {
        let path = folder.join(name);
        write_atomically(&path, content.as_bytes())
            .map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}

fn untrained() -> Value {
    let special = |id: u32, content: &str| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        })
    };
    let byte_level = |add_prefix_space: bool| {
        json!({
            "type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": true,
            "use_regex": true
        })
    };
    let bos = json!({ "SpecialToken": { "id": BOS_TOKEN, "type_id": 0 } });
    let sequence = |id: &str, type_id: u32| json!({ "Sequence": { "id": id, "type_id": type_id } });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [special(0, BOS_TOKEN), special(1, EOS_TOKEN)],
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{ "type": "Digits", "individual_digits": true }, byte_level(false)]
        },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [bos, sequence("A", 0)],
            "pair": [bos, sequence("A", 0), sequence("B", 1)],
            "special_tokens": { BOS_TOKEN: { "id": BOS_TOKEN, "ids": [0], "tokens": [BOS_TOKEN] } }
        },
        "decoder": byte_level(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": { BOS_TOKEN: 0, EOS_TOKEN: 1 }, "merges": []
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tokenizer;

    const TEXTS: [&str; 3] = [
        "fn add(a: u32, b: u32) -> u32 { a + b }\n",
        "fn sub(a: u32, b: u32) -> u32 { a - b } // -------------------------\n",
        "    the pass key is 12345, the pass key is 1234567\n",
    ];

    fn trained(texts: &[&str], vocab_size: usize) -> (String, Tokenizer) {
        let json = train_tokenizer(texts.iter(), TokenizerTraining::new(vocab_size)).unwrap();
        let tokenizer = Tokenizer::from_bytes(json.as_bytes(), Path::new("t"), None).unwrap();
        (json, tokenizer)
    }

    #[test]
    fn special_tokens_bytes_and_merges_are_where_they_belong() {
        let (_, tokenizer) = trained(&TEXTS, 280);
        assert_eq!(tokenizer.vocab_size(), 280);
        assert_eq!(
            [BOS_TOKEN, EOS_TOKEN].map(|token| tokenizer.token_id(token)),
            [Some(0), Some(1)]
        );
        assert!(tokenizer.token_id("Ġa").is_some());
        for text in TEXTS.into_iter().chain(["東京 🦊 \u{0}"]) {
            let tokens = tokenizer.encode(text, true).unwrap();
            assert_eq!(tokens[0], 0);
            assert_eq!(tokenizer.decode(&tokens).unwrap(), text);
        }
    }

    #[test]
    fn digits_stand_alone() {
        let (_, tokenizer) = trained(&TEXTS, 300);
        let tokens = tokenizer.encode("key 12345", false).unwrap();
        let digits: Vec<u32> = ["1", "2", "3", "4", "5"]
            .map(|digit| tokenizer.token_id(digit).unwrap())
            .to_vec();
        assert_eq!(tokens[tokens.len() - 5..], digits);
    }

    #[test]
    fn the_order_of_texts_does_not_matter_and_the_result_is_pinned() {
        let (forth, tokenizer) = trained(&TEXTS, 290);
        let (back, _) = trained(&[TEXTS[2], TEXTS[0], TEXTS[1]], 290);
        assert_eq!(forth, back);
        assert_eq!(&tokenizer.fingerprint()[..16], "8ed050df14350655");
    }

    #[test]
    fn short_texts_give_smaller_vocabularies_and_no_long_tokens() {
        let (json, tokenizer) = trained(&TEXTS, 5000);
        assert!(tokenizer.vocab_size() < 5000);
        let json: Value = serde_json::from_str(&json).unwrap();
        let vocab = json["model"]["vocab"].as_object().unwrap();
        assert!(vocab.keys().all(|token| token.chars().count() <= 16));
    }

    #[test]
    fn vocabularies_without_room_for_bytes_are_refused() {
        let result = train_tokenizer(TEXTS.iter(), TokenizerTraining::new(257));
        assert!(matches!(
            result,
            Err(Error::VocabTooSmall {
                found: 257,
                needed: 258
            })
        ));
    }

    #[test]
    fn what_is_saved_is_a_tokenizer() {
        let dir = tempfile::tempdir().unwrap();
        let (json, tokenizer) = trained(&TEXTS, 270);
        save_tokenizer(dir.path(), &json).unwrap();
        let loaded = Tokenizer::from_model_dir(dir.path()).unwrap();
        assert_eq!(loaded.fingerprint(), tokenizer.fingerprint());
        let in_the_way = dir.path().join("tokenizer.json");
        assert!(matches!(
            save_tokenizer(&in_the_way, &json),
            Err(Error::Write { .. })
        ));
    }
}
