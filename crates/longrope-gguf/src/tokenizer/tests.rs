use serde_json::json;

use super::*;

fn byte_level(pre_tokenizer: &Json) -> Json {
    json!({
        "normalizer": null,
        "pre_tokenizer": pre_tokenizer,
        "model": {
            "type": "BPE",
            "vocab": {"a": 1, "b": 2, "ab": 3, "Ġ": 4},
            "merges": ["a b", ["Ġ", "a"]],
        },
        "added_tokens": [
            {"id": 0, "content": "<s>", "special": true},
            {"id": 5, "content": "<tool>", "special": false},
        ],
    })
}

fn sentencepiece() -> Json {
    json!({
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
        ]},
        "pre_tokenizer": null,
        "model": {
            "type": "BPE", "byte_fallback": true, "unk_token": "<unk>",
            "vocab": {"<unk>": 0, "<0x0A>": 1, "▁": 2, "a": 3, "b": 4, "▁a": 5, "ab": 6, "▁ab": 7},
            "merges": ["▁ a", "a b", "▁ ab", "▁a b"],
        },
        "added_tokens": [{"id": 0, "content": "<unk>", "special": true}],
    })
}

fn source<'a>(json: &'a Json, config: Option<&'a Json>) -> TokenizerSource<'a> {
    TokenizerSource {
        tokenizer: Some(json),
        config,
        chat_template: None,
        vocab_size: 8,
        bos_token: None,
        end_tokens: &[3],
        adds_bos: true,
        model_name: "m",
    }
}

fn keys(json: &Json) -> Result<(Metadata, Vec<Loss>)> {
    let mut losses = Vec::new();
    let keys = tokenizer_keys(&source(json, None), &mut losses)?;
    Ok((keys, losses))
}

fn get(keys: &Metadata, name: &str) -> Option<Value> {
    let mut found = keys.iter().filter(|(key, _)| key == name);
    found.next().map(|(_, value)| value.clone())
}

fn strings(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(|text| Value::from(*text)).collect())
}

const GPT2: &str = r#"{"type": "ByteLevel", "add_prefix_space": false}"#;

fn parsed(text: &str) -> Json {
    serde_json::from_str(text).unwrap()
}

#[test]
fn tokens_have_their_ids_and_types() {
    let (keys, losses) = keys(&byte_level(&parsed(GPT2))).unwrap();
    let texts = ["<s>", "a", "b", "ab", "Ġ", "<tool>", "[PAD6]", "[PAD7]"];
    assert_eq!(get(&keys, "tokenizer.ggml.tokens"), Some(strings(&texts)));
    let types = [3, 1, 1, 1, 1, 4, 5, 5].map(Value::I32);
    assert_eq!(
        get(&keys, "tokenizer.ggml.token_type"),
        Some(Value::Array(types.to_vec()))
    );
    // Both spellings of a merge.
    let merges = strings(&["a b", "Ġ a"]);
    assert_eq!(get(&keys, "tokenizer.ggml.merges"), Some(merges));
    assert_eq!(losses, []);
}

#[test]
fn pre_tokenizers_are_recognized_by_what_they_do() {
    let split = |pattern: &str| {
        json!({"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
            {"type": "ByteLevel", "add_prefix_space": false, "use_regex": false},
        ]})
    };
    let digits = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": false, "use_regex": true},
    ]});
    let pattern = |pre| split_pattern(pre).unwrap();
    let (llama3, qwen2) = (pattern(PreTokenizer::Llama3), pattern(PreTokenizer::Qwen2));
    for (pre, ignores, expected) in [
        (parsed(GPT2), false, Some("gpt-2")),
        (parsed(GPT2), true, None),
        (digits, false, Some("smollm")),
        (split(llama3), true, Some("llama-bpe")),
        (split(llama3), false, Some("dbrx")),
        (split(qwen2), false, Some("qwen2")),
        (split(qwen2), true, None),
        (split(r"\s+"), false, None),
        (
            parsed(r#"{"type": "ByteLevel", "add_prefix_space": true}"#),
            false,
            None,
        ),
    ] {
        let mut json = byte_level(&pre);
        json["model"]["ignore_merges"] = ignores.into();
        let found = keys(&json).ok();
        let found = found.and_then(|(keys, _)| get(&keys, "tokenizer.ggml.pre"));
        assert_eq!(found, expected.map(Value::from), "{pre} {ignores}");
    }
}

#[test]
fn normalizers_are_lost_or_refused() {
    let mut json = byte_level(&parsed(GPT2));
    json["normalizer"] = json!({"type": "NFC"});
    let (_, losses) = keys(&json).unwrap();
    assert!(matches!(losses.as_slice(), [Loss::Normalization { .. }]));
    json["normalizer"] = json!({"type": "Lowercase"});
    let message = keys(&json).unwrap_err().to_string();
    assert!(message.contains("Lowercase"), "{message}");
}

#[test]
fn spaces_that_llama_cpp_treats_otherwise_are_lost() {
    let mut json = sentencepiece();
    for (id, token) in (10..).zip(["</s>", "<s>", "<|endoftext|>"]) {
        json["model"]["vocab"][token] = id.into();
    }
    json["added_tokens"] = json!([
        {"id": 0, "content": "<unk>", "special": true, "rstrip": false},
        {"id": 8, "content": "<|end|>", "special": true, "rstrip": true},
        {"id": 9, "content": "<|user|>", "special": false, "rstrip": true},
    ]);
    let losses = |json: &Json, model_name: &str| {
        let named = TokenizerSource {
            vocab_size: 13,
            model_name,
            ..source(json, None)
        };
        let mut losses = Vec::new();
        tokenizer_keys(&named, &mut losses).unwrap();
        losses.retain(|loss| *loss != Loss::MergeOrder);
        losses
    };
    let strips = |n_tokens: usize, first: &str| Loss::Spaces {
        n_tokens,
        first: first.to_owned(),
    };
    assert_eq!(losses(&json, "m"), [strips(2, "<|end|>")]);
    // llama.cpp knows these by the name of the model.
    assert_eq!(losses(&json, "Phi-3-mini"), []);
    json["added_tokens"][2]["rstrip"] = false.into();
    assert_eq!(losses(&json, "Phi-3-mini"), [strips(1, "<|user|>")]);
    json["added_tokens"] = json!([{"id": 0, "content": "<unk>", "special": true, "lstrip": true}]);
    assert_eq!(losses(&json, "m"), [strips(1, "<unk>")]);

    let mut json = sentencepiece();
    json["normalizer"] = Json::Null;
    let metaspace = |scheme: &str| json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": false});
    json["pre_tokenizer"] = metaspace("always");
    assert_eq!(losses(&json, "m"), []);
    json["pre_tokenizer"] = metaspace("first");
    assert_eq!(losses(&json, "m"), [Loss::SpaceAfterTokens]);
}

#[test]
fn a_model_that_llama_cpp_would_take_for_phi_3_and_not_load_gets_another_name() {
    let mut json = sentencepiece();
    let name = |json: &Json, model_name: &str| {
        let named = TokenizerSource {
            vocab_size: 11,
            model_name,
            ..source(json, None)
        };
        let mut losses = Vec::new();
        let keys = tokenizer_keys(&named, &mut losses).unwrap();
        (get(&keys, "general.name"), losses)
    };
    for (id, token) in (8..).zip(["</s>", "<s>"]) {
        json["model"]["vocab"][token] = id.into();
    }
    for (given, written) in [("my-Phi3-phi-3b", "my-Phi_3-phi_3b"), ("PHI-3", "PHI_3")] {
        let loss = Loss::Name {
            name: given.to_owned(),
            written: written.to_owned(),
            token: "<|endoftext|>",
        };
        assert_eq!(name(&json, given), (Some(written.into()), vec![loss]));
    }
    assert_eq!(name(&json, "phi-2").0, None);
    json["model"]["vocab"]["<|endoftext|>"] = 10.into();
    assert_eq!(name(&json, "PHI-3").0, None);
}

#[test]
fn all_tokens_that_end_a_text_are_kept() {
    let mut json = byte_level(&parsed(GPT2));
    json["added_tokens"][1]["content"] = "<|im_end|>".into();
    let ends = |end_tokens: &[u32]| {
        let of = TokenizerSource {
            end_tokens,
            ..source(&json, None)
        };
        let mut losses = Vec::new();
        let keys = tokenizer_keys(&of, &mut losses).unwrap();
        let names = ["eos_token_id", "eot_token_id", "eom_token_id"];
        let ids = names.map(|name| match get(&keys, &format!("tokenizer.ggml.{name}")) {
            Some(Value::U32(id)) => Some(id),
            _ => None,
        });
        (ids, losses)
    };
    assert_eq!(ends(&[3, 1]), ([Some(3), Some(1), None], vec![]));
    // llama.cpp finds the token 5 by its text, and there is no token 9.
    assert_eq!(ends(&[3, 5, 9, 3]), ([Some(3), None, None], vec![]));
    let lost = Loss::EndTokens {
        tokens: vec!["Ġ".to_owned()],
    };
    assert_eq!(
        ends(&[3, 1, 2, 4]),
        ([Some(3), Some(1), Some(2)], vec![lost])
    );
}

/// The further keys of ends, and the losses, of a model with these tokens behind its own eight.
fn further_ends(added: &[&str], end_tokens: &[u32]) -> ([Option<u32>; 2], Vec<Loss>) {
    let mut json = byte_level(&parsed(GPT2));
    for (id, text) in (8..).zip(added) {
        json["model"]["vocab"][*text] = id.into();
    }
    let of = TokenizerSource {
        vocab_size: 8 + added.len(),
        end_tokens,
        ..source(&json, None)
    };
    let mut losses = Vec::new();
    let keys = tokenizer_keys(&of, &mut losses).unwrap();
    let names = ["eot_token_id", "eom_token_id"];
    let ids = names.map(|name| match get(&keys, &format!("tokenizer.ggml.{name}")) {
        Some(Value::U32(id)) => Some(id),
        _ => None,
    });
    (ids, losses)
}

#[test]
fn ends_that_only_some_versions_of_llama_cpp_know_have_a_key_if_one_is_left() {
    for (added, end_tokens, expected) in [
        (vec!["</s>", "<|im_end|>"], vec![3, 8, 9], [Some(8), None]),
        (vec!["[PAD]"], vec![3, 8], [Some(8), None]),
        (vec!["[EOT]"], vec![3, 8, 1, 2], [Some(1), Some(2)]),
        // llama.cpp takes one of a kind, and no one knows which.
        (
            vec!["<|fim_repo|>", "<|repo_name|>"],
            vec![3, 8, 9],
            [Some(9), Some(8)],
        ),
        (vec!["<|fim_repo|>"], vec![3, 8], [None; 2]),
    ] {
        let found = further_ends(&added, &end_tokens);
        assert_eq!(found, (expected, vec![]), "{added:?}");
    }
}

#[test]
fn ends_that_llama_cpp_does_not_take_for_ends_are_lost() {
    let lost = |text: &str| Loss::EndTokens {
        tokens: vec![text.to_owned()],
    };
    let harmony = ["<|end|>", "<|call|>", "<|return|>"];
    let found = further_ends(&harmony, &[3, 8, 9, 10]);
    assert_eq!(found, ([None; 2], vec![lost("<|end|>")]));
    let found = further_ends(&harmony[..2], &[3, 8, 9]);
    assert_eq!(found, ([None; 2], vec![]));
    let found = further_ends(&["</s>", "<|tool_response>"], &[3, 8]);
    assert_eq!(found, ([None; 2], vec![lost("</s>")]));
}

#[test]
fn merges_become_scores_in_their_order() {
    let (keys, losses) = keys(&sentencepiece()).unwrap();
    let Some(Value::Array(scores)) = get(&keys, "tokenizer.ggml.scores") else {
        panic!("no scores: {keys:?}");
    };
    // "▁a" is merged first, then "ab", then "▁ab", whichever way.
    assert_eq!(scores[5..], [0.0, -1.0, -2.0].map(Value::F32));
    assert_eq!(losses, []);
    let types = [2, 6, 1, 1, 1, 1, 1, 1].map(Value::I32);
    assert_eq!(
        get(&keys, "tokenizer.ggml.token_type"),
        Some(Value::Array(types.to_vec()))
    );
    let adds = get(&keys, "tokenizer.ggml.add_space_prefix");
    assert_eq!(adds, Some(Value::Bool(true)));
}

#[test]
fn merges_that_are_not_those_of_sentencepiece_are_told() {
    let mut json = sentencepiece();
    json["model"]["merges"] = json!(["▁ a", "a b", "▁ ab"]);
    let (_, losses) = keys(&json).unwrap();
    assert_eq!(losses, [Loss::MergeOrder]);
    json["model"]["merges"] = json!(["▁ b"]);
    assert!(keys(&json).unwrap_err().to_string().contains("is no token"));
}

#[test]
fn special_tokens_come_from_the_tokenizer_then_from_the_model() {
    let config = json!({
        "bos_token": {"content": "<s>"}, "unk_token": null, "add_eos_token": true,
        "chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "y"}],
    });
    let json = byte_level(&parsed(GPT2));
    let keys = tokenizer_keys(&source(&json, Some(&config)), &mut Vec::new()).unwrap();
    let found = |key: &str| get(&keys, key);
    assert_eq!(found("tokenizer.ggml.bos_token_id"), Some(Value::U32(0)));
    assert_eq!(found("tokenizer.ggml.eos_token_id"), Some(Value::U32(3)));
    assert_eq!(found("tokenizer.ggml.unknown_token_id"), None);
    assert_eq!(
        found("tokenizer.ggml.add_bos_token"),
        Some(Value::Bool(true))
    );
    assert_eq!(
        found("tokenizer.ggml.add_eos_token"),
        Some(Value::Bool(true))
    );
    assert_eq!(found("tokenizer.chat_template"), Some("y".into()));
    // Without such a token, none can be added.
    let keys = tokenizer_keys(&source(&json, None), &mut Vec::new()).unwrap();
    let adds = get(&keys, "tokenizer.ggml.add_bos_token");
    assert_eq!(adds, Some(Value::Bool(false)));
}

#[test]
fn other_tokenizers_are_refused() {
    let unigram = json!({"model": {"type": "Unigram", "vocab": [["a", -1.0]]}});
    assert!(keys(&unigram).unwrap_err().to_string().contains("only BPE"));
    let mut large = byte_level(&parsed(GPT2));
    large["added_tokens"][1]["id"] = 8.into();
    let message = keys(&large).unwrap_err().to_string();
    assert!(
        message.contains("\"<tool>\" has id 8, expected a number below 8"),
        "{message}"
    );
}

#[test]
fn a_model_without_a_tokenizer_has_none() {
    let mut losses = Vec::new();
    let json = Json::Null;
    let without = TokenizerSource {
        tokenizer: None,
        ..source(&json, None)
    };
    let keys = tokenizer_keys(&without, &mut losses).unwrap();
    assert_eq!(get(&keys, "tokenizer.ggml.model"), Some("none".into()));
    assert_eq!(losses, [Loss::NoTokenizer]);
}
