//! Configs of models of text and images, which keep that of their language model in a section.

use std::borrow::Cow;

use serde_json::{Map, Value, json};

use super::keys::MODEL_TYPE;
use crate::Error;

/// The section with the config of the language model.
pub(super) const TEXT: &str = "text_config";

const TIED: &str = "tie_word_embeddings";

/// Keys that the language model takes from the whole config if it has none of its own.
const SHARED: [&str; 2] = ["bos_token_id", "eos_token_id"];

/// `model_type` of the whole config, and that of a language model whose section does not name it.
const WRAPPERS: [(&str, &str); 2] = [("mistral3", "mistral"), ("gemma3", "gemma3_text")];

/// Whether this is the config of a model whose language model can be read.
pub(super) fn is_nested(config: &Map<String, Value>) -> bool {
    inner_type(config).is_some() && config.get(TEXT).is_some_and(Value::is_object)
}

/// The config of the language model: the config itself, or its section for it.
///
/// `tie_word_embeddings` of the whole config counts, which is true by default. `layer_types` of a Mistral has no meaning
/// there, because only `AutoConfig` reads a Mistral with that key as Ministral, and it sees the whole config.
pub(crate) fn language_model(config: &Map<String, Value>) -> Cow<'_, Map<String, Value>> {
    let (Some(inner), Some(Value::Object(text))) = (inner_type(config), config.get(TEXT)) else {
        return Cow::Borrowed(config);
    };
    let mut text = text.clone();
    text.entry(MODEL_TYPE).or_insert(json!(inner));
    if text[MODEL_TYPE] == "mistral" {
        text.remove("layer_types");
    }
    let tied = config.get(TIED).cloned().unwrap_or(json!(true));
    text.insert(TIED.to_owned(), tied);
    for key in SHARED {
        if let Some(value) = config.get(key) {
            text.entry(key).or_insert_with(|| value.clone());
        }
    }
    Cow::Owned(text)
}

/// The error for a model of text and images whose config does not have that of its language model.
pub(super) fn missing_language_model(config: &Map<String, Value>) -> Option<Error> {
    let inner = inner_type(config)?;
    Some(Error::NoLanguageModel {
        found: config.get(MODEL_TYPE)?.as_str()?.to_owned(),
        section: TEXT,
        inner,
    })
}

fn inner_type(config: &Map<String, Value>) -> Option<&'static str> {
    let model_type = config.get(MODEL_TYPE)?.as_str()?;
    let wrapper = WRAPPERS.iter().find(|(name, _)| *name == model_type);
    wrapper.map(|(_, inner)| *inner)
}
