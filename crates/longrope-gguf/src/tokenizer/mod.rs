//! A tokenizer as llama.cpp reads it, made from a `tokenizer.json`.

mod byte_level;
mod ends;
mod pre;
mod sentencepiece;
mod source;
mod spaces;
mod special;
mod vocabulary;

use serde_json::Value as Json;

pub(crate) use ends::{END_KEYS, OF_CODE, end_ids};
pub(crate) use pre::{PreTokenizer, split_pattern};
pub use source::TokenizerSource;
pub(crate) use spaces::strips_after;
use special::special_keys;
pub(crate) use vocabulary::TokenType;
use vocabulary::Vocabulary;

use crate::error::{Error, Result};
use crate::format::{Metadata, Value};
use crate::loss::Loss;

/// The keys of the tokenizer. What they cannot express is appended to `losses`. `general.name` is among them if llama.cpp
/// would not load the file under [`TokenizerSource::model_name`].
///
/// Byte-level BPE becomes `gpt2` with the merges and the name of its pre-tokenizer, which is recognized by the regular
/// expressions in it. BPE over characters with a fallback to bytes becomes `llama` with scores: the pair that is merged first has
/// the highest score.
///
/// # Errors
/// [`Error::Tokenizer`] for other kinds, and for a pre-tokenizer that llama.cpp does not have.
pub fn tokenizer_keys(source: &TokenizerSource, losses: &mut Vec<Loss>) -> Result<Metadata> {
    let mut keys = Metadata::new();
    let mut add = |key: &str, value: Value| keys.push((format!("tokenizer.ggml.{key}"), value));
    let Some(json) = source.tokenizer else {
        losses.push(Loss::NoTokenizer);
        add("model", "none".into());
        return Ok(keys);
    };
    let vocabulary = Vocabulary::read(json, source.vocab_size)?;
    let texts: Vec<String> = vocabulary.tokens.iter().map(|it| it.text.clone()).collect();
    let model = &json["model"];
    if byte_level::is_byte_level(json) {
        let pre = byte_level::pre_tokenizer(json, losses)?;
        add("model", "gpt2".into());
        add("pre", pre.name().into());
        add_tokens(&mut add, &vocabulary);
        let merges = vocabulary::merges(model)?.into_iter();
        let joined = merges.map(|(left, right)| Value::String(format!("{left} {right}")));
        add("merges", Value::Array(joined.collect()));
    } else if model["byte_fallback"] == true {
        let adds_space = sentencepiece::adds_space(json, losses)?;
        let scores = sentencepiece::scores(&vocabulary, model, losses)?;
        let vocabulary = sentencepiece::with_types(vocabulary, model);
        add("model", "llama".into());
        add("pre", "default".into());
        add_tokens(&mut add, &vocabulary);
        let scores = scores.into_iter().map(Value::F32);
        add("scores", Value::Array(scores.collect()));
        add("add_space_prefix", Value::Bool(adds_space));
    } else {
        return Err(Error::Tokenizer {
            problem: "it is neither byte-level BPE nor BPE with a fallback to bytes".to_owned(),
        });
    }
    let renamed = spaces::other_name(source.model_name, &texts, losses);
    let name = renamed.as_deref().unwrap_or(source.model_name);
    losses.extend(spaces::lost_spaces(json, name));
    keys.extend(renamed.map(|name| ("general.name".to_owned(), Value::String(name))));
    keys.extend(special_keys(source, &vocabulary_ids(json), &texts, losses));
    Ok(keys)
}

fn add_tokens(add: &mut impl FnMut(&str, Value), vocabulary: &Vocabulary) {
    let tokens = vocabulary.tokens.iter();
    let texts = tokens.clone().map(|token| token.text.clone().into());
    add("tokens", Value::Array(texts.collect()));
    let types = tokens.map(|token| Value::I32(token.kind.id().into()));
    add("token_type", Value::Array(types.collect()));
}

/// The id of a token by its text, added tokens included.
fn vocabulary_ids(json: &Json) -> impl Fn(&str) -> Option<u32> {
    move |text: &str| {
        let added = json["added_tokens"].as_array().into_iter().flatten();
        let id = added
            .clone()
            .find(|token| token["content"] == text)
            .map(|token| &token["id"])
            .or_else(|| json["model"]["vocab"].get(text))?;
        u32::try_from(id.as_u64()?).ok()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
