//! What the tests share: compressed bytes and a small byte-level tokenizer written by hand.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use parquet::basic::{Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::Type;
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

/// The content of a column of a Parquet file.
pub(crate) enum Cells<'a> {
    Numbers(&'a [i64]),
    Texts(&'a [&'a str]),
    Bytes(&'a [&'a [u8]]),
}

/// Writes a Parquet file of one row group. A column of lists has one element per list.
pub(crate) fn parquet_file(path: &Path, columns: &[(&str, Repetition, Cells<'_>)]) {
    let fields = columns.iter().map(|(name, repetition, cells)| {
        let physical = match cells {
            Cells::Numbers(_) => Physical::INT64,
            Cells::Texts(_) | Cells::Bytes(_) => Physical::BYTE_ARRAY,
        };
        let field = Type::primitive_type_builder(name, physical);
        Arc::new(field.with_repetition(*repetition).build().unwrap())
    });
    let schema = Type::group_type_builder("schema").with_fields(fields.collect());
    let schema = Arc::new(schema.build().unwrap());
    let file = fs_err::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, repetition, cells) in columns {
        let bytes: Vec<ByteArray> = match cells {
            Cells::Numbers(_) => Vec::new(),
            Cells::Texts(texts) => texts.iter().map(|text| (*text).into()).collect(),
            Cells::Bytes(cells) => cells.iter().map(|cell| cell.to_vec().into()).collect(),
        };
        let defined = vec![1_i16; bytes.len()];
        let defined = (*repetition != Repetition::REQUIRED).then_some(&defined[..]);
        let first = vec![0_i16; bytes.len()];
        let first = (*repetition == Repetition::REPEATED).then_some(&first[..]);
        let mut column = group.next_column().unwrap().unwrap();
        if let Cells::Numbers(numbers) = cells {
            let typed = column.typed::<Int64Type>();
            typed.write_batch(numbers, None, None).unwrap();
        } else {
            let typed = column.typed::<ByteArrayType>();
            typed.write_batch(&bytes, defined, first).unwrap();
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// Writes a Parquet file of one column of texts and nulls; `groups` are its row groups.
pub(crate) fn parquet_with(
    path: &Path,
    column: &str,
    groups: &[Vec<Option<&str>>],
    properties: WriterProperties,
) {
    let field = Type::primitive_type_builder(column, Physical::BYTE_ARRAY);
    let field = field.with_repetition(Repetition::OPTIONAL).build().unwrap();
    let schema = Type::group_type_builder("schema").with_fields(vec![Arc::new(field)]);
    let schema = Arc::new(schema.build().unwrap());
    let file = fs_err::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema, Arc::new(properties)).unwrap();
    for texts in groups {
        let levels: Vec<i16> = texts.iter().map(|text| i16::from(text.is_some())).collect();
        let values: Vec<ByteArray> = texts.iter().flatten().map(|text| (*text).into()).collect();
        let mut group = writer.next_row_group().unwrap();
        let mut column = group.next_column().unwrap().unwrap();
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(&values, Some(&levels), None).unwrap();
        column.close().unwrap();
        group.close().unwrap();
    }
    writer.close().unwrap();
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

/// A tokenizer in the style of LLaMA 2: a `▁` before every text, one for every space, and bytes for what is unknown.
pub(crate) fn sentencepiece_json() -> Value {
    let special = ["<unk>", "<s>", "</s>"];
    let merges = [["▁", "T"], ["▁", "i"], ["i", "s"], ["▁i", "s"]];
    let tokens = special
        .into_iter()
        .map(String::from)
        .chain((0..256).map(|byte| format!("<0x{byte:02X}>")))
        .chain(('!'..='~').map(String::from))
        .chain(["▁".to_owned()])
        .chain(merges.iter().map(|pair| pair.concat()));
    let vocab: serde_json::Map<String, Value> = tokens
        .zip(0..)
        .map(|(token, id)| (token, json!(id)))
        .collect();
    let added = special.into_iter().zip(0..).map(|(content, id)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        })
    });
    let mut json = tokenizer_json();
    json["added_tokens"] = added.collect();
    json["normalizer"] = json!({
        "type": "Sequence",
        "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }
        ]
    });
    json["pre_tokenizer"] = Value::Null;
    json["post_processor"]["special_tokens"]["<s>"]["ids"] = json!([1]);
    json["decoder"] = json!({
        "type": "Sequence",
        "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 }
        ]
    });
    json["model"] = json!({
        "type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
        "vocab": vocab, "merges": merges
    });
    json
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
