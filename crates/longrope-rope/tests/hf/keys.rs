//! The keys of `config.json`: defaults, wrong types, ranges, and sizes that do not fit together.

use longrope_rope::{Error, Family, parse_hf_config, read_hf_config};
use serde_json::{Value, json};

fn error(config: &Value) -> String {
    read_hf_config(config).unwrap_err().to_string()
}

#[test]
fn a_config_of_nothing_but_its_family_has_the_sizes_of_the_class() {
    for (family, vocab_size, n_kv_heads, window) in [
        (Family::Llama, 32_000, 32, None),
        (Family::Mistral, 32_000, 8, Some(4096)),
        (Family::Phi3, 32_064, 32, None),
        (Family::Qwen2, 151_936, 32, None),
    ] {
        let config = read_hf_config(&json!({"model_type": family.model_type()})).unwrap();
        assert_eq!(config.family, family);
        assert_eq!(
            (config.vocab_size, config.n_kv_heads),
            (vocab_size, n_kv_heads)
        );
        assert_eq!(config.windows, vec![window; 32]);
        assert_eq!(config.defaulted.len(), 8);
    }
}

/// Each value is refused with a message about its key.
fn refused(cases: Vec<(&str, &str, Value)>) {
    for (family, key, value) in cases {
        let config = json!({"model_type": family, key: value});
        let error = error(&config);
        let start = format!("`{key}` of the model config is ");
        assert!(
            error.starts_with(&start) && error.contains(", expected "),
            "{config}: {error}"
        );
    }
}

#[test]
fn wrong_types_are_errors_that_name_the_key() {
    let counts = [
        "vocab_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "max_position_embeddings",
    ];
    let wrong = [
        json!("20"),
        json!(-5),
        json!(0),
        json!(16.0),
        json!(2.5),
        json!([4]),
        json!({}),
        json!(true),
    ];
    let huge = [json!(1_u64 << 40), json!(u64::MAX), json!(1e300)];
    let flags = ["attention_bias", "mlp_bias", "tie_word_embeddings"];
    let no_flags = [json!("true"), json!(1), json!(0), json!([]), json!(null)];
    let mut cases: Vec<(&str, &str, Value)> = Vec::new();
    for key in counts {
        let values = wrong.iter().chain(&huge);
        cases.extend(values.map(|value| ("llama", key, value.clone())));
    }
    for key in flags {
        cases.extend(no_flags.iter().map(|value| ("llama", key, value.clone())));
    }
    for value in no_flags {
        cases.push(("qwen2", "use_sliding_window", value));
    }
    for family in ["mistral", "phi3", "qwen2"] {
        for value in [
            json!("20"),
            json!(-5),
            json!(20.0),
            json!([20]),
            json!(true),
        ] {
            cases.push((family, "sliding_window", value));
        }
    }
    for value in [json!("1"), json!(-1), json!(1.0), json!(null)] {
        cases.push(("qwen2", "max_window_layers", value));
    }
    for value in [
        json!("full_attention"),
        json!(["full"]),
        json!([1]),
        json!({}),
    ] {
        cases.push(("qwen2", "layer_types", value));
    }
    refused(cases);
    assert_eq!(
        error(&json!({"model_type": "mistral", "sliding_window": "20"})),
        "`sliding_window` of the model config is \"20\", expected null or a whole number of tokens from 0 to 4294967296"
    );
}

#[test]
fn wrong_numbers_and_tokens_are_errors_that_name_the_key() {
    let mut cases: Vec<(&str, &str, Value)> = Vec::new();
    for value in [
        json!("1e-5"),
        json!(-1),
        json!(2),
        json!(null),
        json!(true),
        json!([1e-5]),
    ] {
        cases.push(("llama", "rms_norm_eps", value));
    }
    for value in [
        json!("2"),
        json!(2.5),
        json!(["2"]),
        json!(true),
        json!(1_u64 << 40),
    ] {
        cases.push(("llama", "eos_token_id", value.clone()));
        cases.push(("llama", "bos_token_id", value));
    }
    for key in [
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_act",
    ] {
        cases.push(("llama", key, json!(null)));
    }
    for value in [json!(7), json!(["silu"])] {
        cases.push(("llama", "hidden_act", value));
    }
    cases.push(("llama", "per_layer_config", json!({"0": {"head_dim": 4}})));
    refused(cases);
}

#[test]
fn sizes_have_to_fit_together() {
    let message = |config| error(&config);
    assert_eq!(
        message(json!({"model_type": "llama", "num_attention_heads": 4, "num_key_value_heads": 3})),
        "`num_attention_heads` of the model config is 4, expected a multiple of `num_key_value_heads`, which is 3"
    );
    // The class has 32 key heads.
    assert_eq!(
        message(json!({"model_type": "qwen2", "num_attention_heads": 4})),
        "`num_attention_heads` of the model config is 4, expected a multiple of `num_key_value_heads`, which is 32"
    );
    assert_eq!(
        message(json!({"model_type": "llama", "hidden_size": 100, "num_attention_heads": 8})),
        "`hidden_size` of the model config is 100, expected a multiple of `num_attention_heads`, which is 8"
    );
    assert!(
        read_hf_config(
            &json!({"model_type": "mistral", "hidden_size": 100, "num_attention_heads": 8})
        )
        .is_ok()
    );
    assert!(message(json!({"model_type": "phi3", "hidden_size": 8})).contains("`hidden_size`"));
    assert!(
        message(json!({"model_type": "llama", "head_dim": 33})).contains("rotates 33 dimensions")
    );
    assert_eq!(
        message(json!({"model_type": "qwen2", "layer_types": ["full_attention"]})),
        "`layer_types` of the model config has 1 entries, expected 32"
    );
    let wide = json!({"model_type": "llama", "num_attention_heads": 65_536, "head_dim": 65_536});
    assert!(message(wide).contains("16777216 dimensions"));
}

#[test]
fn keys_without_a_meaning_in_the_family_are_listed_and_have_no_effect() {
    for family in ["mistral", "phi3", "qwen2"] {
        let plain = read_hf_config(&json!({"model_type": family})).unwrap();
        let biased = json!({"model_type": family, "attention_bias": true, "mlp_bias": true});
        let mut config = read_hf_config(&biased).unwrap();
        assert_eq!(config.ignored, ["attention_bias", "mlp_bias"]);
        config.ignored = Vec::new();
        assert_eq!(config, plain);
    }
    let llama = json!({"model_type": "llama", "sliding_window": 20, "use_sliding_window": true});
    let llama = read_hf_config(&llama).unwrap();
    assert_eq!(llama.ignored, ["sliding_window", "use_sliding_window"]);
    assert_eq!(llama.windows, vec![None; 32]);
}

#[test]
fn windows_by_family() {
    let windows = |config: Value| read_hf_config(&config).unwrap().windows;
    let layers = |family: &str, more: Value| {
        let mut config =
            json!({"model_type": family, "num_hidden_layers": 3, "sliding_window": 20});
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        windows(config)
    };
    let (some, none) = (Some(20), None);
    assert_eq!(layers("llama", json!({})), [none; 3]);
    assert_eq!(layers("mistral", json!({})), [some; 3]);
    assert_eq!(
        layers("mistral", json!({"sliding_window": null})),
        [none; 3]
    );
    let kinds = json!(["full_attention", "sliding_attention", "full_attention"]);
    assert_eq!(
        layers("mistral", json!({"layer_types": kinds})),
        [none, some, none]
    );
    assert_eq!(layers("mistral", json!({"layer_types": null})), [some; 3]);
    assert_eq!(layers("phi3", json!({})), [some; 3]);
    assert_eq!(layers("qwen2", json!({})), [none; 3], "not switched on");
    let on = |more: Value| {
        let mut config = json!({"use_sliding_window": true});
        config
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        layers("qwen2", config)
    };
    assert_eq!(on(json!({})), [none; 3], "from layer 28 on");
    let deep = on(json!({"num_hidden_layers": 30}));
    assert_eq!(
        (&deep[..28], &deep[28..]),
        (&[none; 28][..], &[some; 2][..])
    );
    assert_eq!(on(json!({"max_window_layers": 1})), [none, some, some]);
    let listed = json!(["sliding_attention", "full_attention", "attention"]);
    assert_eq!(
        on(json!({"max_window_layers": 1, "layer_types": listed})),
        [some, none, none]
    );
}

#[test]
fn a_model_of_text_and_images_is_refused_by_name() {
    let nested = json!({"model_type": "llava", "text_config": {"model_type": "mistral"}});
    let expected = "`model_type` of the model config is \"llava\", a model whose language part (\"mistral\") is described \
                    in `text_config`; expected one of `llama`, `mistral`, `phi3`, `qwen2`";
    assert!(error(&nested).starts_with(expected), "{}", error(&nested));
    let refused = error(&json!({"model_type": "deepseek_v3"}));
    assert!(
        refused.ends_with("not supported: it has multi-head latent attention"),
        "{refused}"
    );
    assert!(matches!(
        longrope_rope::diagnose(&nested),
        Err(Error::NestedConfig { .. })
    ));
    assert_eq!(error(&json!({})), "the model config has no `model_type`");
    assert!(error(&json!({"model_type": 4})).starts_with("`model_type` of the model config is 4"));
}

#[test]
fn the_text_of_a_config_is_a_json_object() {
    let read = |text: &[u8]| parse_hf_config(text);
    assert_eq!(read(b"\xef\xbb\xbf{}").unwrap(), json!({}));
    // The last of two equal keys counts, as in Python.
    let twice = read(br#"{"vocab_size": 1, "vocab_size": 2}"#).unwrap();
    assert_eq!(twice["vocab_size"], 2);
    for text in [&b"[1]"[..], b"null", b"\"text\"", b"3"] {
        assert!(matches!(read(text), Err(Error::NotAnObject { .. })));
    }
    for text in [
        &b""[..],
        b"{",
        b"\xff",
        br#"{"rope_theta": 1e400}"#,
        br#"{"rope_theta": Infinity}"#,
    ] {
        assert!(matches!(read(text), Err(Error::Json { .. })));
    }
}
