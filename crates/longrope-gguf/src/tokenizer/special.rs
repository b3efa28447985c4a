//! The tokens with a meaning of their own, and the chat template.

use serde_json::Value as Json;

use super::ends::{END_KEYS, end_ids, is_sure};
use super::source::TokenizerSource;
use crate::format::{Metadata, Value};
use crate::loss::Loss;

/// Keys of `tokenizer_config.json`, and those of a file.
const TOKENS: [(&str, &str); 4] = [
    ("bos_token", "bos_token_id"),
    ("eos_token", "eos_token_id"),
    ("unk_token", "unknown_token_id"),
    ("pad_token", "padding_token_id"),
];

/// The keys of special tokens and of the chat template. `texts` are those of all tokens, by their ids.
pub(super) fn special_keys(
    source: &TokenizerSource,
    id_of: &impl Fn(&str) -> Option<u32>,
    texts: &[String],
    losses: &mut Vec<Loss>,
) -> Metadata {
    let mut keys = Metadata::new();
    let (mut bos, mut eos) = (None, None);
    for (key, in_file) in TOKENS {
        let named = source.config.and_then(|config| text(&config[key]));
        let id = named.and_then(id_of).or(match key {
            "bos_token" => source.bos_token,
            "eos_token" => source.end_tokens.first().copied(),
            _ => None,
        });
        let Some(id) = id else { continue };
        match key {
            "bos_token" => bos = Some(id),
            "eos_token" => eos = Some(id),
            _ => {}
        }
        keys.push((format!("tokenizer.ggml.{in_file}"), Value::U32(id)));
    }
    keys.extend(further_ends(source.end_tokens, eos, texts, losses));
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

/// The keys of the tokens that end a text beside `eos`. llama.cpp finds most of them by their text. There are two keys: for those
/// that it does not find, then for those that only some of its versions find.
fn further_ends(
    end_tokens: &[u32],
    eos: Option<u32>,
    texts: &[String],
    losses: &mut Vec<Loss>,
) -> Metadata {
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let [eos_key, further @ ..] = END_KEYS;
    // llama.cpp ignores tokens outside the vocabulary.
    let place = |id: u32| usize::try_from(id).ok().filter(|id| *id < texts.len());
    let eos = eos.and_then(place);
    let mut wanted: Vec<usize> = Vec::new();
    for id in end_tokens.iter().filter_map(|id| place(*id)) {
        if !wanted.contains(&id) {
            wanted.push(id);
        }
    }
    let mut keys: Vec<(&str, usize)> = eos.map(|id| (eos_key, id)).into_iter().collect();
    let found = end_ids(&texts, &keys);
    let needs_key = |id: &usize| {
        if found.contains(id) {
            Some(*id) != eos && !is_sure(&texts, texts[*id])
        } else {
            // Some are no ends even then.
            end_ids(&texts, &[(further[0], *id)]).contains(id)
        }
    };
    let needing = wanted.iter().copied().filter(needs_key);
    let (unsure, unknown): (Vec<usize>, Vec<usize>) = needing.partition(|id| found.contains(id));
    keys.extend(further.into_iter().zip(unknown.into_iter().chain(unsure)));
    let found = end_ids(&texts, &keys);
    let lost = wanted.iter().filter(|id| !found.contains(*id));
    let tokens: Vec<String> = lost.map(|id| texts[*id].to_owned()).collect();
    if !tokens.is_empty() {
        losses.push(Loss::EndTokens { tokens });
    }
    let further = keys.iter().filter(|(key, _)| *key != eos_key);
    let further = further.filter_map(|(key, id)| {
        let id = u32::try_from(*id).ok()?;
        Some((format!("tokenizer.ggml.{key}"), Value::U32(id)))
    });
    further.collect()
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
