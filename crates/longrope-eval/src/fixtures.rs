//! Tokenizers for tests.

use std::path::{Path, PathBuf};

use longrope_data::Tokenizer;
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256")
}

/// The tokenizer that comes with the program, which puts a token before a text.
pub(crate) fn tokenizer() -> Tokenizer {
    Tokenizer::from_model_dir(&folder()).unwrap()
}

/// The same tokenizer with another `tokenizer.json`.
fn changed(change: impl FnOnce(&mut Value)) -> Tokenizer {
    let text = fs_err::read_to_string(folder().join("tokenizer.json")).unwrap();
    let mut json: Value = serde_json::from_str(&text).unwrap();
    change(&mut json);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tokenizer.json");
    fs_err::write(&path, json.to_string()).unwrap();
    Tokenizer::from_file(&path).unwrap()
}

/// The same tokenizer, but it also puts a token after a text.
pub(crate) fn tokenizer_that_ends_texts() -> Tokenizer {
    let tokenizer = changed(|json| {
        let template = &mut json["post_processor"];
        let parts = template["single"].as_array_mut().unwrap();
        parts.push(json!({"SpecialToken": {"id": "</s>", "type_id": 0}}));
        template["special_tokens"]["</s>"] = json!({"id": "</s>", "ids": [1], "tokens": ["</s>"]});
    });
    assert_eq!(tokenizer.encode("a", true).unwrap().last(), Some(&1));
    tokenizer
}

/// The same tokenizer, but it puts a space before a text, as that of LLaMA 2 does.
pub(crate) fn tokenizer_with_a_space_before_texts() -> Tokenizer {
    changed(|json| json["normalizer"] = json!({"type": "Prepend", "prepend": " "}))
}
