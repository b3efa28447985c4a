//! Whether llama.cpp begins texts with the beginning-of-text token (BOS) of a tokenizer.
//!
//! Its converter takes `add_bos_token` of `tokenizer_config.json`. Without that key it looks at the post-processor of
//! `tokenizer.json` (`SpecialVocab` in `gguf-py/gguf/vocab.py`). If that says nothing either, the program decides by the
//! kind of vocabulary (`llama_vocab::impl::load` in `src/llama-vocab.cpp`): `SentencePiece` yes, byte-level BPE no,
//! apart from that of LLaMA 3.

use serde::Deserialize;
use serde_json::Value;

use super::config::TokenizerConfig;

/// The parts of a `tokenizer.json` that matter here; the vocabulary is skipped.
#[derive(Deserialize)]
struct TokenizerFile {
    post_processor: Option<Value>,
    model: Model,
}

#[derive(Deserialize)]
struct Model {
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    r#type: Option<String>,
}

/// Whether llama.cpp puts BOS in front of a text, given a `tokenizer.json` and the `tokenizer_config.json` beside it.
pub(crate) fn adds_bos(tokenizer_json: &[u8], config: Option<&TokenizerConfig>) -> bool {
    if let Some(given) = config.and_then(|config| config.add_bos) {
        return given;
    }
    let Ok(file) = serde_json::from_slice::<TokenizerFile>(tokenizer_json) else {
        return false;
    };
    let by_processor = file
        .post_processor
        .as_ref()
        .and_then(|processor| processor_adds_bos(processor, config));
    // Of byte-level vocabularies, llama.cpp adds BOS by default for that of LLaMA 3, which looks up words as a whole.
    by_processor.unwrap_or(match file.model.r#type.as_deref() {
        Some("BPE") => file.model.byte_fallback || file.model.ignore_merges,
        Some("WordPiece") => true,
        _ => false,
    })
}

/// What a post-processor says; the last of a sequence that says something counts.
fn processor_adds_bos(processor: &Value, config: Option<&TokenizerConfig>) -> Option<bool> {
    if let Some(parts) = processor["processors"].as_array() {
        return parts
            .iter()
            .rev()
            .find_map(|part| processor_adds_bos(part, config));
    }
    match processor["type"].as_str()? {
        "RobertaProcessing" => Some(true),
        "TemplateProcessing" => {
            let single = processor["single"].as_array()?;
            if single.len() < 2 {
                return None;
            }
            let first = single[0]["SpecialToken"]["id"].as_str()?;
            // Without a tokenizer_config.json, the first token of the template is BOS by definition.
            Some(config.is_none_or(|config| {
                [&config.bos_token, &config.cls_token]
                    .into_iter()
                    .any(|token| token.as_deref() == Some(first))
            }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fixtures::tokenizer_json;

    fn config(add_bos: Option<bool>, bos_token: &str) -> TokenizerConfig {
        TokenizerConfig {
            add_bos,
            bos_token: Some(bos_token.to_owned()),
            cls_token: None,
        }
    }

    fn found(tokenizer: &Value, config: Option<&TokenizerConfig>) -> bool {
        adds_bos(tokenizer.to_string().as_bytes(), config)
    }

    #[test]
    fn the_configuration_decides_first_and_the_template_second() {
        let template = tokenizer_json();
        assert!(found(&template, None));
        assert!(found(&template, Some(&config(None, "<s>"))));
        assert!(!found(&template, Some(&config(None, "<|other|>"))));
        assert!(!found(&template, Some(&config(Some(false), "<s>"))));

        let mut byte_level = tokenizer_json();
        byte_level["post_processor"] = json!({ "type": "ByteLevel", "trim_offsets": true });
        assert!(!found(&byte_level, None));
        assert!(!found(&byte_level, Some(&config(None, "<s>"))));
        assert!(found(&byte_level, Some(&config(Some(true), "<s>"))));
    }

    #[test]
    fn processors_may_be_in_a_sequence() {
        let mut tokenizer = tokenizer_json();
        let template = tokenizer["post_processor"].clone();
        let byte_level = json!({ "type": "ByteLevel" });
        tokenizer["post_processor"] =
            json!({ "type": "Sequence", "processors": [byte_level, template] });
        assert!(found(&tokenizer, Some(&config(None, "<s>"))));
    }

    #[test]
    fn without_either_the_kind_of_vocabulary_decides() {
        let mut tokenizer = tokenizer_json();
        tokenizer["post_processor"] = Value::Null;
        assert!(!found(&tokenizer, None), "byte-level BPE");
        tokenizer["model"]["ignore_merges"] = json!(true);
        assert!(found(&tokenizer, None), "LLaMA 3");
        tokenizer["model"]["ignore_merges"] = json!(false);
        tokenizer["model"]["byte_fallback"] = json!(true);
        assert!(found(&tokenizer, None), "SentencePiece");
        assert!(!adds_bos(b"not json", None));
    }
}
