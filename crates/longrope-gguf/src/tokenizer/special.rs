//! The tokens with a meaning of their own, and the chat template.

use serde_json::Value as Json;

use super::source::TokenizerSource;
use crate::format::{Metadata, Value};

/// Keys of `tokenizer_config.json`, and those of a file.
const TOKENS: [(&str, &str); 4] = [
    ("bos_token", "bos_token_id"),
    ("eos_token", "eos_token_id"),
    ("unk_token", "unknown_token_id"),
    ("pad_token", "padding_token_id"),
];

/// The keys of special tokens and of the chat template.
pub(super) fn special_keys(
    source: &TokenizerSource,
    id_of: &impl Fn(&str) -> Option<u32>,
) -> Metadata {
    let mut keys = Metadata::new();
    let mut bos = None;
    for (key, in_file) in TOKENS {
        let named = source.config.and_then(|config| text(&config[key]));
        let id = named.and_then(id_of).or(match key {
            "bos_token" => source.bos_token,
            "eos_token" => source.eos_token,
            _ => None,
        });
        let Some(id) = id else { continue };
        if key == "bos_token" {
            bos = Some(id);
        }
        keys.push((format!("tokenizer.ggml.{in_file}"), Value::U32(id)));
    }
    let flag = |key: &str, value| (format!("tokenizer.ggml.{key}"), Value::Bool(value));
    // llama.cpp stops if it shall add a token that is not there.
    keys.push(flag("add_bos_token", source.adds_bos && bos.is_some()));
    let adds_eos = source
        .config
        .is_some_and(|config| config["add_eos_token"] == true);
    if adds_eos {
        keys.push(flag("add_eos_token", true));
    }
    if let Some(template) = chat_template(source) {
        keys.push(("tokenizer.chat_template".to_owned(), template.into()));
    }
    keys
}

/// A token that is written as a string, or as an object with `content`.
fn text(token: &Json) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

/// The template, or the one named `default` of several. A file of its own counts more, as in transformers.
fn chat_template(source: &TokenizerSource) -> Option<String> {
    if let Some(template) = source.chat_template {
        return Some(template.to_owned());
    }
    let template = &source.config?["chat_template"];
    if let Some(template) = template.as_str() {
        return Some(template.to_owned());
    }
    let list = template.as_array()?.iter();
    let mut defaults = list.filter(|it| it["name"] == "default");
    defaults.next()?["template"].as_str().map(str::to_owned)
}
