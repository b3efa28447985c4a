//! The files beside a `tokenizer.json`: `tokenizer_config.json` and `special_tokens_map.json`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use crate::reading::jsonl::kind_of;
use crate::reading::reader;
use crate::{Error, Result};

/// The special tokens that both files may name.
const SPECIAL_TOKENS: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// Keys that switch something on or off.
const FLAGS: [&str; 4] = [
    "add_bos_token",
    "add_eos_token",
    "add_prefix_space",
    "clean_up_tokenization_spaces",
];

/// What we use of `tokenizer_config.json`. A key that is missing or null is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TokenizerConfig {
    /// Whether a text begins with the beginning-of-text token.
    pub(crate) add_bos: Option<bool>,
    /// The beginning-of-text token, as it is written.
    pub(crate) bos_token: Option<String>,
    /// The token of a class, which some tokenizers put first.
    pub(crate) cls_token: Option<String>,
}

impl TokenizerConfig {
    /// Reads and checks the files of a model folder; `None` if it has no `tokenizer_config.json`.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>> {
        if let Some((keys, path)) = read_object(folder.join("special_tokens_map.json"))? {
            check_tokens(&keys, &path)?;
        }
        let Some((keys, path)) = read_object(folder.join("tokenizer_config.json"))? else {
            return Ok(None);
        };
        let path = path.as_path();
        check_tokens(&keys, path)?;
        for key in FLAGS {
            flag(&keys, key, path)?;
        }
        if let Some(length) = present(&keys, "model_max_length")
            && !length.is_number()
        {
            return Err(wrong(path, "model_max_length", length, "a number or null"));
        }
        Ok(Some(Self {
            add_bos: flag(&keys, "add_bos_token", path)?,
            bos_token: token(&keys, "bos_token", path)?,
            cls_token: token(&keys, "cls_token", path)?,
        }))
    }
}

/// Checks every key that names special tokens.
fn check_tokens(keys: &Map<String, Value>, path: &Path) -> Result<()> {
    for key in SPECIAL_TOKENS {
        token(keys, key, path)?;
    }
    match present(keys, "additional_special_tokens") {
        None => Ok(()),
        Some(Value::Array(tokens)) => match tokens.iter().find(|value| content(value).is_none()) {
            None => Ok(()),
            Some(value) => Err(wrong(
                path,
                "additional_special_tokens",
                value,
                "a list of strings, or of objects with `content`",
            )),
        },
        Some(value) => Err(wrong(
            path,
            "additional_special_tokens",
            value,
            "a list of strings, or of objects with `content`",
        )),
    }
}

/// The content of a JSON file that holds an object; `None` if there is no such file.
fn read_object(path: PathBuf) -> Result<Option<(Map<String, Value>, PathBuf)>> {
    if !path.exists() {
        return Ok(None);
    }
    let text = reader::read_text(&path)?;
    let value: Value = serde_json::from_str(&text).map_err(|source| Error::NotJson {
        path: path.clone(),
        source,
    })?;
    match value {
        Value::Object(keys) => Ok(Some((keys, path))),
        other => Err(Error::NotJsonObject {
            path,
            found: kind_of(&other),
        }),
    }
}

/// The value of a key that is there and not null.
fn present<'a>(keys: &'a Map<String, Value>, key: &str) -> Option<&'a Value> {
    keys.get(key).filter(|value| !value.is_null())
}

fn flag(keys: &Map<String, Value>, key: &'static str, path: &Path) -> Result<Option<bool>> {
    match present(keys, key) {
        None => Ok(None),
        Some(Value::Bool(value)) => Ok(Some(*value)),
        Some(value) => Err(wrong(path, key, value, "true, false or null")),
    }
}

fn token(keys: &Map<String, Value>, key: &'static str, path: &Path) -> Result<Option<String>> {
    let Some(value) = present(keys, key) else {
        return Ok(None);
    };
    match content(value) {
        Some(text) => Ok(Some(text.to_owned())),
        None => Err(wrong(
            path,
            key,
            value,
            "a string, an object with `content`, or null",
        )),
    }
}

/// A special token, written as a string or as an object.
fn content(value: &Value) -> Option<&str> {
    match value {
        Value::String(text) => Some(text),
        Value::Object(object) => object.get("content")?.as_str(),
        _ => None,
    }
}

fn wrong(path: &Path, key: &'static str, value: &Value, expected: &'static str) -> Error {
    Error::TokenizerKey {
        path: path.to_path_buf(),
        key,
        found: match value {
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            other => kind_of(other).to_owned(),
        },
        expected,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(name: &str, content: &str) -> Result<Option<TokenizerConfig>> {
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join(name), content).unwrap();
        TokenizerConfig::read(folder.path())
    }

    #[test]
    fn tokens_are_strings_or_objects_with_content() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(TokenizerConfig::read(folder.path()).unwrap(), None);
        let config = json!({
            "add_bos_token": false, "bos_token": { "content": "<s>", "lstrip": false }, "cls_token": null,
            "eos_token": "</s>", "additional_special_tokens": ["<a>", { "content": "<b>" }],
            "model_max_length": 1e30, "chat_template": [1],
        });
        assert_eq!(
            read("tokenizer_config.json", &config.to_string()).unwrap(),
            Some(TokenizerConfig {
                add_bos: Some(false),
                bos_token: Some("<s>".to_owned()),
                cls_token: None,
            })
        );
    }

    #[test]
    fn wrong_types_are_errors_that_name_file_and_key() {
        for name in ["tokenizer_config.json", "special_tokens_map.json"] {
            for (key, value, found) in [
                ("bos_token", json!(1), "1"),
                ("eos_token", json!({ "id": 1 }), "an object"),
                ("pad_token", json!(["<s>"]), "an array"),
                ("unk_token", json!(true), "true"),
                ("additional_special_tokens", json!("<s>"), "a string"),
                ("additional_special_tokens", json!(["<s>", 3]), "3"),
            ] {
                let error = read(name, &json!({ key: value }).to_string()).unwrap_err();
                let message = error.to_string();
                assert!(
                    message.contains(name) && message.contains(&format!("`{key}` is {found}")),
                    "{message}"
                );
            }
            for content in ["[1]", "7", "null"] {
                let error = read(name, content).unwrap_err().to_string();
                assert!(error.contains("expected a JSON object"), "{error}");
            }
            assert!(matches!(read(name, "{"), Err(Error::NotJson { .. })));
        }
        for (key, value) in [
            ("add_bos_token", json!("false")),
            ("add_eos_token", json!(0)),
            ("add_prefix_space", json!([])),
            ("model_max_length", json!("2048")),
        ] {
            let error = read("tokenizer_config.json", &json!({ key: value }).to_string());
            assert!(matches!(error, Err(Error::TokenizerKey { key: found, .. }) if found == key));
        }
    }
}
