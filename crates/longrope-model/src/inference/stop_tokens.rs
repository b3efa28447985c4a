//! The tokens that end a generated text.

use std::path::Path;

use serde_json::Value;

use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// The settings of generation that transformers writes beside the weights.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";

/// The `eos_token_id` of `config.json`, then those of `generation_config.json` that are not among them.
///
/// Instruction-tuned models often name the token that ends a turn only in the second file.
///
/// # Errors
/// If `generation_config.json` exists but cannot be read, or its `eos_token_id` is neither an id nor a list of ids.
pub fn stop_tokens(folder: &Path, model: &ModelConfig) -> Result<Vec<u32>> {
    let mut tokens = model.eos_tokens.clone();
    let path = folder.join(GENERATION_CONFIG);
    if !path.is_file() {
        return Ok(tokens);
    }
    let json = read_generation_config(&path)?;
    let ids = match json.get("eos_token_id") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(ids)) => ids.iter().collect(),
        Some(id) => vec![id],
    };
    for id in ids {
        let token = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let token = token.ok_or_else(|| Error::GenerationConfig {
            path: path.clone(),
            problem: format!(
                "`eos_token_id` is {}, expected a token id or a list of token ids",
                shown(id)
            ),
        })?;
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// Reads settings of generation. A byte-order mark at the start of the file is skipped.
///
/// # Errors
/// If the file cannot be read, or holds no object.
pub(crate) fn read_generation_config(path: &Path) -> Result<Value> {
    let bytes = fs_err::read(path)?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let json: Value = serde_json::from_slice(text).map_err(|source| Error::Json {
        path: path.to_owned(),
        source,
    })?;
    if json.is_object() {
        return Ok(json);
    }
    Err(Error::GenerationConfig {
        path: path.to_owned(),
        problem: format!("it is {}, expected an object", shown(&json)),
    })
}

/// A value for a message, or what it is if it is long.
fn shown(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) if text.len() > 60 => "a long text".to_owned(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::init::LlamaShape;

    fn tokens(generation_config: Option<&str>) -> Result<Vec<u32>> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = generation_config {
            fs_err::write(folder.path().join(GENERATION_CONFIG), text).unwrap();
        }
        let mut model = LlamaShape::default().model_config().unwrap();
        model.eos_tokens = vec![2];
        stop_tokens(folder.path(), &model)
    }

    #[test]
    fn both_files_count() {
        assert_eq!(tokens(None).unwrap(), [2]);
        for (text, expected) in [
            ("{}", vec![2]),
            (r#"{"eos_token_id": null}"#, vec![2]),
            (r#"{"eos_token_id": 7}"#, vec![2, 7]),
            (r#"{"eos_token_id": [7, 2, 9]}"#, vec![2, 7, 9]),
        ] {
            assert_eq!(tokens(Some(text)).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn wrong_types_are_errors() {
        for text in [
            "{",
            "[]",
            r#"{"eos_token_id": "7"}"#,
            r#"{"eos_token_id": [-1]}"#,
        ] {
            let message = tokens(Some(text)).unwrap_err().to_string();
            assert!(message.contains(GENERATION_CONFIG), "{text}: {message}");
            assert!(!message.contains("model config"), "{text}: {message}");
        }
    }
}
