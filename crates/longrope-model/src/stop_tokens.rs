//! The tokens that end a generated text.

use std::path::Path;

use serde_json::Value;

use crate::config::ModelConfig;
use crate::config_file::read_config_json;
use crate::error::{Error, Result};

/// The settings of generation that transformers writes beside the weights.
const FILE: &str = "generation_config.json";

/// The `eos_token_id` of `config.json`, then those of `generation_config.json` that are not among them.
///
/// Instruction-tuned models often name the token that ends a turn only in the second file.
///
/// # Errors
/// If `generation_config.json` exists but cannot be read, or its `eos_token_id` is neither an id nor a list of ids.
pub fn stop_tokens(folder: &Path, model: &ModelConfig) -> Result<Vec<u32>> {
    let mut tokens = model.eos_tokens.clone();
    let path = folder.join(FILE);
    if !path.is_file() {
        return Ok(tokens);
    }
    let json = read_config_json(&path)?;
    let ids = match json.get("eos_token_id") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(ids)) => ids.iter().collect(),
        Some(id) => vec![id],
    };
    for id in ids {
        let token = id.as_u64().and_then(|id| u32::try_from(id).ok());
        let token = token.ok_or_else(|| {
            let wrong = longrope_rope::Error::WrongValue {
                key: "eos_token_id".to_owned(),
                found: id.clone(),
                expected: "a token id or a list of token ids",
            };
            Error::config(&path, wrong)
        })?;
        if !tokens.contains(&token) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llama_shape::LlamaShape;

    fn tokens(generation_config: Option<&str>) -> Result<Vec<u32>> {
        let folder = tempfile::tempdir().unwrap();
        if let Some(text) = generation_config {
            fs_err::write(folder.path().join(FILE), text).unwrap();
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
        for text in ["{", r#"{"eos_token_id": "7"}"#, r#"{"eos_token_id": [-1]}"#] {
            assert!(tokens(Some(text)).is_err(), "{text}");
        }
    }
}
