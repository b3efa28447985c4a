//! The tokens that end a text, as llama.cpp finds them.

use serde_json::{Value as Json, json};

use super::fields::Fields;
use crate::error::Result;
use crate::format::{GgufFile, Value};
use crate::tokenizer::{OF_CODE, end_ids};

/// The `generation_config.json` of a file with tokens that end a text beside those in `config`, the `config.json` made of
/// it; else `None`. Those in `config` are the tokens that the keys of ends name.
///
/// They are not in the `config.json`, whose bytes are a part of the fingerprint of the model.
pub(super) fn generation_config(file: &GgufFile, config: &Json) -> Result<Option<Json>> {
    let fields = Fields {
        file,
        prefix: "tokenizer.ggml",
    };
    let Some(tokens) = fields.get("tokens").and_then(Value::as_array) else {
        return Ok(None);
    };
    let texts = tokens
        .iter()
        .map(|token| token.as_str().unwrap_or_default());
    let texts: Vec<&str> = texts.collect();
    let mut keys = Vec::new();
    for (key, _) in OF_CODE {
        let id = fields.token(key, texts.len() as u64)?;
        let id = id.and_then(|id| usize::try_from(id).ok());
        keys.extend(id.map(|id| (key, id)));
    }
    let mut ids = match &config["eos_token_id"] {
        Json::Null => Vec::new(),
        Json::Array(ids) => ids.iter().filter_map(Json::as_u64).collect(),
        id => id.as_u64().into_iter().collect(),
    };
    let n_known = ids.len();
    for id in end_ids(&texts, &keys) {
        if !ids.contains(&(id as u64)) {
            ids.push(id as u64);
        }
    }
    if ids.len() == n_known {
        return Ok(None);
    }
    Ok(Some(json!({
        "bos_token_id": config["bos_token_id"],
        "eos_token_id": ids,
    })))
}
