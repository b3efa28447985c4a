//! Keys of a tokenizer to a `tokenizer.json`.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use super::fields::Fields;
use crate::error::{Error, Result};
use crate::format::{GgufFile, Value};
use crate::tokenizer::{PreTokenizer, TokenType, split_pattern, strips_after};

/// The class of transformers that takes a `tokenizer.json` as it is.
const TOKENIZER_CLASS: &str = "PreTrainedTokenizerFast";

/// The two files of a tokenizer.
pub(super) struct Files {
    pub(super) tokenizer: Json,
    pub(super) config: Json,
}

/// The tokens of a file, by id.
struct Tokens<'a> {
    texts: Vec<&'a str>,
    types: Vec<u64>,
}

impl Tokens<'_> {
    fn is(&self, id: usize, kind: TokenType) -> bool {
        self.types[id] == u64::from(kind.id())
    }

    /// Whether a token is not a part of texts: written out in one, it is found only by programs that look for such tokens.
    fn is_special(&self, id: usize) -> bool {
        self.is(id, TokenType::Control) || self.is(id, TokenType::Unknown)
    }

    /// Whether a token is found as a whole, before anything is merged.
    fn is_added(&self, id: usize) -> bool {
        self.is_special(id) || self.is(id, TokenType::UserDefined)
    }
}

/// The files of the tokenizer, if there is one.
pub(super) fn files(file: &GgufFile) -> Result<Option<Files>> {
    let fields = Fields {
        file,
        prefix: "tokenizer.ggml",
    };
    let model = match fields.get("model") {
        None => return Ok(None),
        Some(_) => fields.text("model")?,
    };
    if model == "none" || model == "no_vocab" {
        return Ok(None);
    }
    let tokens = tokens(&fields)?;
    let mut tokenizer = match model {
        "gpt2" => byte_level(&fields, &tokens)?,
        "llama" => sentencepiece(&fields, &tokens)?,
        other => {
            return Err(Error::Key {
                path: file.path().to_owned(),
                key: "tokenizer.ggml.model".to_owned(),
                found: format!("{other:?}"),
                expected: "gpt2, llama or none",
            });
        }
    };
    let name = file.get("general.name").and_then(Value::as_str);
    let name = name.unwrap_or_default();
    let added = (0..tokens.texts.len()).filter(|id| tokens.is_added(*id));
    let added = added.map(|id| {
        json!({
            "id": id, "content": tokens.texts[id], "single_word": false, "lstrip": false,
            "rstrip": strips_after(name, tokens.texts[id]), "normalized": false, "special": tokens.is_special(id),
        })
    });
    tokenizer["added_tokens"] = added.collect();
    tokenizer["post_processor"] = post_processor(&fields, &tokens, model)?;
    let config = config(&fields, &tokens, model)?;
    Ok(Some(Files { tokenizer, config }))
}

fn tokens<'a>(fields: &Fields<'a>) -> Result<Tokens<'a>> {
    let texts = fields.list("tokens")?.iter();
    let texts: Option<Vec<&str>> = texts.map(Value::as_str).collect();
    let texts = texts.ok_or_else(|| fields.model_error("its tokens are no texts".to_owned()))?;
    let types = if fields.get("token_type").is_some() {
        fields.needed("token_type", "a list of whole numbers", |value| {
            let types = value.as_array()?.iter().map(Value::as_u64);
            types.collect::<Option<Vec<u64>>>()
        })?
    } else {
        vec![u64::from(TokenType::Normal.id()); texts.len()]
    };
    if types.len() != texts.len() {
        return Err(fields.model_error(format!(
            "it has {} types of tokens for {} tokens",
            types.len(),
            texts.len()
        )));
    }
    Ok(Tokens { texts, types })
}

/// The vocabulary: all tokens with a text of their own, the added ones included. The `tokenizers` library takes the id of
/// an added token from here, and numbers those that it does not find anew, whatever id is written beside them.
fn vocab(tokens: &Tokens) -> Map<String, Json> {
    let ids = 0..tokens.texts.len();
    let known = ids.filter(|id| !tokens.is(*id, TokenType::Unused));
    known
        .map(|id| (tokens.texts[id].to_owned(), json!(id)))
        .collect()
}

fn byte_level(fields: &Fields, tokens: &Tokens) -> Result<Json> {
    let name = fields.text("pre")?;
    let pre = PreTokenizer::named(name).ok_or_else(|| Error::Tokenizer {
        problem: format!(
            "its pre-tokenizer is `{name}`, whose regular expressions are not known here"
        ),
    })?;
    let merges: Option<Vec<&str>> = fields.list("merges")?.iter().map(Value::as_str).collect();
    let merges = merges.ok_or_else(|| fields.model_error("its merges are no texts".to_owned()))?;
    let byte_level = |use_regex: bool| {
        json!({
            "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex,
        })
    };
    let steps = match split_pattern(pre) {
        Some(pattern) => vec![
            json!({
                "type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false,
            }),
            byte_level(false),
        ],
        None if pre == PreTokenizer::SmolLm => vec![
            json!({"type": "Digits", "individual_digits": true}),
            byte_level(true),
        ],
        None => vec![byte_level(true)],
    };
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": null,
        "decoder": byte_level(true),
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "ignore_merges": pre.ignores_merges(), "vocab": vocab(tokens), "merges": merges,
        },
    }))
}

/// Merges from scores: every pair of tokens whose union is a token, the highest score of the union first.
fn merges(tokens: &Tokens, scores: &[f64]) -> Vec<Json> {
    let normal = |id: &usize| tokens.is(*id, TokenType::Normal);
    let ids: HashMap<&str, usize> = (0..tokens.texts.len())
        .filter(normal)
        .map(|id| (tokens.texts[id], id))
        .collect();
    let mut found = Vec::new();
    for id in (0..tokens.texts.len()).filter(normal) {
        let text = tokens.texts[id];
        for (at, _) in text.char_indices().skip(1) {
            let (left, right) = text.split_at(at);
            if let (Some(left), Some(right)) = (ids.get(left), ids.get(right)) {
                found.push((id, *left, *right));
            }
        }
    }
    found.sort_by(|a, b| {
        let by_score = scores[b.0].total_cmp(&scores[a.0]);
        by_score.then_with(|| a.cmp(b))
    });
    let pair =
        |(_, left, right): (usize, usize, usize)| json!([tokens.texts[left], tokens.texts[right]]);
    found.into_iter().map(pair).collect()
}

fn sentencepiece(fields: &Fields, tokens: &Tokens) -> Result<Json> {
    let scores = fields.list("scores")?.iter();
    let scores: Option<Vec<f64>> = scores.map(Value::as_f64).collect();
    let scores = scores
        .filter(|scores| scores.len() == tokens.texts.len())
        .ok_or_else(|| fields.model_error("its scores are not one number per token".to_owned()))?;
    let space = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let prefix = json!({"type": "Prepend", "prepend": "\u{2581}"});
    let adds_space = fields.flag("add_space_prefix")?;
    let normalizers = match adds_space {
        Some(false) => vec![space],
        _ => vec![prefix, space],
    };
    let mut decoders = vec![
        json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "}),
        json!({"type": "ByteFallback"}),
        json!({"type": "Fuse"}),
    ];
    if adds_space != Some(false) {
        decoders.push(json!({"type": "Strip", "content": " ", "start": 1, "stop": 0}));
    }
    let unknown = (0..tokens.texts.len()).find(|id| tokens.is(*id, TokenType::Unknown));
    Ok(json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": null,
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": decoders},
        "model": {
            "type": "BPE", "dropout": null, "unk_token": unknown.map(|id| tokens.texts[id]),
            "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true,
            "byte_fallback": true, "ignore_merges": false, "vocab": vocab(tokens),
            "merges": merges(tokens, &scores),
        },
    }))
}

/// The text of the token that a key names.
fn special<'a>(fields: &Fields, tokens: &Tokens<'a>, key: &str) -> Result<Option<&'a str>> {
    let id = fields.token(key, tokens.texts.len() as u64)?;
    let id = id.and_then(|id| usize::try_from(id).ok());
    Ok(id.and_then(|id| tokens.texts.get(id).copied()))
}

/// Whether texts begin with BOS: as the file says, else as llama.cpp assumes.
fn adds_bos(fields: &Fields, model: &str) -> Result<bool> {
    let given = fields.flag("add_bos_token")?;
    let pre = fields.get("pre").and_then(Value::as_str);
    let assumed =
        || model == "llama" || pre.and_then(PreTokenizer::named) == Some(PreTokenizer::Llama3);
    Ok(given.unwrap_or_else(assumed))
}

fn post_processor(fields: &Fields, tokens: &Tokens, model: &str) -> Result<Json> {
    let adds_bos = adds_bos(fields, model)?;
    let bos = special(fields, tokens, "bos_token_id")?.filter(|_| adds_bos);
    let Some(bos) = bos else {
        return Ok(Json::Null);
    };
    let id = fields.get("bos_token_id").and_then(Value::as_u64);
    let token = json!({"SpecialToken": {"id": bos, "type_id": 0}});
    let first = json!({"Sequence": {"id": "A", "type_id": 0}});
    let second = json!({"Sequence": {"id": "B", "type_id": 1}});
    let mut processor = json!({
        "type": "TemplateProcessing",
        "single": [token.clone(), first.clone()],
        "pair": [token, first, second],
        "special_tokens": {},
    });
    processor["special_tokens"][bos] = json!({"id": bos, "ids": [id], "tokens": [bos]});
    Ok(processor)
}

fn config(fields: &Fields, tokens: &Tokens, model: &str) -> Result<Json> {
    let mut config = Map::new();
    // Without a class, transformers takes that of the family, which reads the vocabulary as another kind of tokenizer.
    config.insert("tokenizer_class".to_owned(), TOKENIZER_CLASS.into());
    config.insert("add_bos_token".to_owned(), adds_bos(fields, model)?.into());
    for (key, in_file) in [
        ("bos_token", "bos_token_id"),
        ("eos_token", "eos_token_id"),
        ("unk_token", "unknown_token_id"),
        ("pad_token", "padding_token_id"),
    ] {
        if let Some(text) = special(fields, tokens, in_file)? {
            config.insert(key.to_owned(), text.into());
        }
    }
    let template = fields.file.get("tokenizer.chat_template");
    if let Some(template) = template.and_then(Value::as_str) {
        config.insert("chat_template".to_owned(), template.into());
    }
    Ok(Json::Object(config))
}
