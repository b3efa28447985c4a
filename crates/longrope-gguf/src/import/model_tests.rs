//! What llama.cpp computes, and what does not fit together.

use serde_json::json;

use super::tests::{config, config_as, needed, write};
use super::*;
use crate::Value;

#[test]
fn an_olmo2_with_a_window_is_an_olmo3() {
    let window = ("attention.sliding_window", Value::U32(16));
    let yarn = [
        ("rope.freq_base", Value::F32(500.0)),
        ("rope.scaling.type", "yarn".into()),
        ("rope.scaling.factor", Value::F32(4.0)),
        ("rope.scaling.original_context_length", Value::U32(256)),
    ];
    let with = |more: &[(&str, Value)]| {
        let keys = [&yarn[..], std::slice::from_ref(&window), more].concat();
        config_as("olmo2", &keys, &[])
    };
    let found = with(&[]).unwrap();
    assert_eq!(found["model_type"], "olmo3");
    assert_eq!(found["sliding_window"], 16);
    assert_eq!(found["layer_types"], json!(["sliding_attention"]));
    assert_eq!(found["rope_scaling"], Json::Null);
    let parts = &found["rope_parameters"];
    assert_eq!(parts["full_attention"]["rope_type"], "yarn");
    assert_eq!(parts["full_attention"]["factor"], 4.0);
    let plain = json!({"rope_type": "default", "rope_theta": 500.0});
    assert_eq!(parts["sliding_attention"], plain);
    let read = read_hf_config(&found).unwrap();
    assert_eq!(read.windows, [Some(16)]);
    let [full, local] = [&read.rope.spec, read.rope.local.as_ref().unwrap()];
    assert_eq!((full.theta, local.theta), (500.0, 500.0));
    assert_eq!(full.scaling.name(), "yarn");
    assert_eq!(local.scaling, longrope_rope::RopeScaling::None {});

    let pattern = |value: Value| with(&[("attention.sliding_window_pattern", value)]);
    let types = |found: Result<Json>| found.unwrap()["layer_types"].clone();
    assert_eq!(types(pattern(Value::U32(0))), json!(["sliding_attention"]));
    // No layer has one.
    let full = pattern(Value::U32(1)).unwrap();
    assert_eq!(full["model_type"], "olmo2");
    let listed = |slides: bool| pattern(Value::Array(vec![Value::Bool(slides)]));
    assert_eq!(types(listed(true)), json!(["sliding_attention"]));
    for (found, key) in [
        (listed(false), "sliding_window_pattern` is a list of 1"),
        (
            with(&[("rope.freq_base_swa", Value::F32(10.0))]),
            "rope.freq_base_swa` is 10.0, expected what `rope.freq_base` is",
        ),
    ] {
        let message = found.unwrap_err().to_string();
        assert!(message.contains(key), "{message}");
    }
    // llama.cpp switches the windows of this architecture off, and the others have none.
    for name in ["phi3", "qwen3", "llama"] {
        let found = config_as(name, std::slice::from_ref(&window), &[]).unwrap();
        assert_eq!(found["sliding_window"], Json::Null, "{name}");
    }
}

#[test]
fn windows_leave_every_fourth_layer_out() {
    let layers = |period: u64| -> Vec<bool> {
        let layers = 0..5;
        layers.map(|layer| windows::slides(layer, period)).collect()
    };
    assert_eq!(layers(4), [true, true, true, false, true]);
    assert_eq!(layers(1), [false; 5]);
    assert_eq!(layers(0), [true; 5]);
}

#[test]
fn tokens_that_see_later_ones_are_refused() {
    let causal = |value: bool| config_as("qwen3", &[("attention.causal", Value::Bool(value))], &[]);
    assert!(causal(true).is_ok());
    let message = causal(false).unwrap_err().to_string();
    assert!(
        message.contains("`qwen3.attention.causal` is false"),
        "{message}"
    );
}

#[test]
fn counts_may_be_lists_of_equal_numbers() {
    let list = |values: &[u32]| Value::Array(values.iter().copied().map(Value::U32).collect());
    for (key, value, name) in [
        ("attention.head_count", 2, "num_attention_heads"),
        ("attention.head_count_kv", 1, "num_key_value_heads"),
        ("feed_forward_length", 4, "intermediate_size"),
    ] {
        let key = format!("llama.{key}");
        let with = |values: &[u32]| config(&[(key.as_str(), Some(list(values)))], &[], &[]);
        assert_eq!(with(&[value]).unwrap()[name], value, "{key}");
        for wrong in [&[][..], &[value, value], &[value, 0]] {
            let message = with(wrong).unwrap_err().to_string();
            let words = "expected a whole number from 0, the same in every layer";
            assert!(
                message.contains(&key) && message.contains(words),
                "{message}"
            );
        }
    }
}

#[test]
fn an_original_context_of_zero_is_not_stated() {
    let zero = (
        "llama.rope.scaling.original_context_length",
        Some(Value::U32(0)),
    );
    let found = config(&[zero], &[], &["rope_freqs"]).unwrap();
    let section = &found["rope_scaling"];
    assert_eq!(section["original_max_position_embeddings"], 1024);
}

#[test]
fn factors_of_phi3_begin_at_the_original_context_of_the_file() {
    // The class has a default of its own, 4096.
    let found = config_as("phi3", &[], &["rope_factors_long", "rope_factors_short"]).unwrap();
    assert_eq!(found["original_max_position_embeddings"], 1024);
    let read = read_hf_config(&found).unwrap();
    assert_eq!(read.rope.spec.original_context, 1024);
}

#[test]
fn the_rotated_part_of_a_head_is_that_of_the_file() {
    // 58 / 100 * 100 is a little less than 58.
    for (head_dim, rotary_dim) in [(100, 58), (50, 28), (4, 2)] {
        let keys = [
            ("attention.key_length", Value::U32(head_dim)),
            ("rope.dimension_count", Value::U32(rotary_dim)),
            ("rope.scaling.attn_factor", Value::F32(1.5)),
        ];
        let found = config_as("phi3", &keys, &[]).unwrap();
        let read = read_hf_config(&found).unwrap();
        let rotary_dim = usize::try_from(rotary_dim).unwrap();
        assert_eq!(read.rope.spec.rotary_dim, rotary_dim, "of {head_dim}");
    }
}

/// Why a file with these changes is not unpacked, to a folder where nothing is left.
fn refusal(
    changes: &[(&str, Option<Value>)],
    biases: &[&str],
    needed: &[(String, Vec<usize>)],
) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    write(&path, changes, biases, &[]);
    let out = folder.path().join("out");
    fs_err::create_dir(&out).unwrap();
    let error = write_folder(&GgufFile::open(&path).unwrap(), needed, &out).unwrap_err();
    assert_eq!(fs_err::read_dir(&out).unwrap().count(), 0, "{error}");
    assert!(error.to_string().contains("a.gguf"), "{error}");
    error.to_string()
}

#[test]
fn tensors_must_be_those_that_the_keys_need() {
    let mut more = needed();
    more.push(("lm_head.weight".to_owned(), vec![6, 8]));
    let message = refusal(&[], &[], &more);
    assert!(
        message.contains("it has no tensor `output.weight`"),
        "{message}"
    );

    let mut wide = needed();
    wide[1].1 = vec![16, 8];
    let message = refusal(&[], &[], &wide);
    let words = "tensor `blk.0.attn_q.weight` has shape [8, 8], expected [16, 8]";
    assert!(message.contains(words), "{message}");

    for bias in ["output", "blk.0.attn_norm", "blk.0.attn_q"] {
        let message = refusal(&[], &[bias], &needed());
        let words = format!("tensor `{bias}.bias` has no place in a");
        assert!(message.contains(&words), "{message}");
    }
    let message = refusal(&[], &["blk.1.attn_q"], &needed());
    let words =
        "tensor `blk.1.attn_q.bias` is of a layer beyond the 1 that key `llama.block_count` states";
    assert!(message.contains(words), "{message}");
}

#[test]
fn licence_and_base_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let url = "https://huggingface.co/o/base";
    let changes = [
        ("general.name", Some(Value::from("A name"))),
        ("general.license", Some("mit".into())),
        ("general.license.link", Some("a\nb".into())),
        ("general.base_model.count", Some(Value::U32(1))),
        ("general.base_model.0.repo_url", Some(url.into())),
    ];
    write(&path, &changes, &[], &[]);
    let file = GgufFile::open(&path).unwrap();
    let card = "---\nlicense: mit\nbase_model: o/base\n---\n";
    assert_eq!(card::text(&file).as_deref(), Some(card));
    let origin = origin_keys(&file);
    let keys: Vec<&str> = origin.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, changes.each_ref().map(|(key, _)| *key));
    write(&path, &[], &[], &[]);
    assert_eq!(card::text(&GgufFile::open(&path).unwrap()), None);
}

#[test]
fn special_tokens_are_in_the_vocabulary_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    // Control, normal, not used, user-defined, unknown, normal.
    let types = [3, 1, 5, 4, 2, 1].map(Value::I32).to_vec();
    let changes = [("tokenizer.ggml.token_type", Some(Value::Array(types)))];
    write(&path, &changes, &[], &[]);
    let files = tokenizer::files(&GgufFile::open(&path).unwrap()).unwrap();
    let tokenizer = files.unwrap().tokenizer;
    let expected = json!({"t0": 0, "t1": 1, "t3": 3, "t4": 4, "t5": 5});
    assert_eq!(tokenizer["model"]["vocab"], expected);
    let added = tokenizer["added_tokens"].as_array().unwrap();
    let added = added
        .iter()
        .map(|it| (it["id"].clone(), it["special"].clone()));
    let added: Vec<_> = added.collect();
    let special = |id: u64, is_special: bool| (json!(id), json!(is_special));
    assert_eq!(
        added,
        [special(0, true), special(3, false), special(4, true)]
    );
}
