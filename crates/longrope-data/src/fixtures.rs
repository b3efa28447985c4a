//! What the tests share: compressed bytes and a small byte-level tokenizer written by hand.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

use crate::{TokenDocument, Tokenizer};

pub(crate) fn gzip(text: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text.as_ref()).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(text: &str) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text.as_bytes(), ruzstd::encoding::CompressionLevel::Fastest)
}

/// A GPT-2 style tokenizer: `<s>` is 0, the 256 bytes are 1 to 256, and four merges follow.
pub(crate) fn tokenizer_json() -> Value {
    let mut alphabet: Vec<String> = ByteLevel::alphabet()
        .into_iter()
        .map(String::from)
        .collect();
    alphabet.sort();
    let merges = [["t", "h"], ["th", "e"], ["Ġ", "the"], ["Ġ", "a"]];
    let tokens = alphabet
        .into_iter()
        .chain(merges.iter().map(|pair| pair.concat()));
    let mut vocab: serde_json::Map<String, Value> = tokens
        .zip(1..)
        .map(|(token, id)| (token, json!(id)))
        .collect();
    vocab.insert("<s>".to_owned(), json!(0));
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        }],
        "normalizer": null,
        "pre_tokenizer": { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [
                { "SpecialToken": { "id": "<s>", "type_id": 0 } },
                { "Sequence": { "id": "A", "type_id": 0 } }
            ],
            "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
            "special_tokens": { "<s>": { "id": "<s>", "ids": [0], "tokens": ["<s>"] } }
        },
        "decoder": { "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true },
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": merges
        }
    })
}

pub(crate) fn tokenizer_from(json: &Value) -> Tokenizer {
    Tokenizer::from_bytes(
        json.to_string().as_bytes(),
        Path::new("tokenizer.json"),
        None,
    )
    .unwrap()
}

pub(crate) fn tokenizer() -> Tokenizer {
    tokenizer_from(&tokenizer_json())
}

/// A document whose token ids are 0, 1, 2, ...
pub(crate) fn counting_document(name: &str, n_tokens: u32) -> TokenDocument {
    TokenDocument {
        source: name.to_owned(),
        tokens: (0..n_tokens).collect(),
    }
}
