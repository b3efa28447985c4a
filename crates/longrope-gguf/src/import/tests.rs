use serde_json::json;

use super::*;
use crate::{Metadata, Planned, TensorType, Value, Writer};

/// A LLaMA of one layer with two heads of width 4, with these biases.
pub(super) fn write(
    path: &Path,
    changes: &[(&str, Option<Value>)],
    biases: &[&str],
    ropes: &[&str],
) {
    let tokens: Vec<Value> = (0..6).map(|id| Value::from(format!("t{id}"))).collect();
    let mut metadata: Metadata = [
        ("general.architecture", Value::from("llama")),
        ("llama.context_length", Value::U32(1024)),
        ("llama.embedding_length", Value::U32(8)),
        ("llama.block_count", Value::U32(1)),
        ("llama.feed_forward_length", Value::U32(4)),
        ("llama.attention.head_count", Value::U32(2)),
        ("llama.attention.head_count_kv", Value::U32(1)),
        ("llama.attention.layer_norm_rms_epsilon", Value::F32(0.5)),
        ("llama.rope.freq_base", Value::F32(500.0)),
        ("tokenizer.ggml.model", Value::from("gpt2")),
        ("tokenizer.ggml.pre", Value::from("gpt-2")),
        ("tokenizer.ggml.tokens", Value::Array(tokens)),
        (
            "tokenizer.ggml.merges",
            Value::Array(vec![Value::from("t 0")]),
        ),
        ("tokenizer.ggml.bos_token_id", Value::U32(5)),
        ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .to_vec();
    for (key, value) in changes {
        metadata.retain(|(known, _)| known != key);
        if let Some(value) = value {
            metadata.push(((*key).to_owned(), value.clone()));
        }
    }
    let matrix = |name: &str, rows: u64, columns: u64| (name.to_owned(), vec![rows, columns]);
    let mut shapes = vec![
        matrix("token_embd", 6, 8),
        matrix("blk.0.attn_q", 8, 8),
        matrix("blk.0.attn_k", 4, 8),
        matrix("blk.0.attn_v", 4, 8),
        matrix("blk.0.attn_output", 8, 8),
        matrix("blk.0.ffn_gate", 4, 8),
        matrix("blk.0.ffn_up", 4, 8),
        matrix("blk.0.ffn_down", 8, 4),
    ];
    for norm in ["blk.0.attn_norm", "blk.0.ffn_norm", "output_norm"] {
        shapes.push((norm.to_owned(), vec![8]));
    }
    for rope in ropes {
        shapes.push(((*rope).to_owned(), vec![2]));
    }
    let mut planned: Vec<Planned> = shapes
        .into_iter()
        .map(|(module, shape)| Planned {
            name: format!("{module}.weight"),
            shape,
            ty: TensorType::F32,
        })
        .collect();
    for bias in biases {
        planned.push(Planned {
            name: format!("{bias}.bias"),
            shape: vec![8],
            ty: TensorType::F32,
        });
    }
    let mut writer = Writer::new(Vec::new(), &metadata, &planned).unwrap();
    for tensor in &planned {
        for i in 0..tensor.shape.iter().product::<u64>() {
            writer.write(&(i as f32 + 1.0).to_le_bytes()).unwrap();
        }
    }
    fs_err::write(path, writer.finish().unwrap()).unwrap();
}

pub(super) fn config(
    changes: &[(&str, Option<Value>)],
    biases: &[&str],
    ropes: &[&str],
) -> Result<Json> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    write(&path, changes, biases, ropes);
    config_json(&GgufFile::open(&path)?)
}

/// The tensors that the checkpoint of [`write`] has.
pub(super) fn needed() -> Vec<(String, Vec<usize>)> {
    let layer = |name: &str, shape: &[usize]| (format!("layers.0.{name}"), shape.to_vec());
    let inside = vec![
        ("embed_tokens".to_owned(), vec![6, 8]),
        layer("self_attn.q_proj", &[8, 8]),
        layer("self_attn.k_proj", &[4, 8]),
        layer("self_attn.v_proj", &[4, 8]),
        layer("self_attn.o_proj", &[8, 8]),
        layer("mlp.gate_proj", &[4, 8]),
        layer("mlp.up_proj", &[4, 8]),
        layer("mlp.down_proj", &[8, 4]),
        layer("input_layernorm", &[8]),
        layer("post_attention_layernorm", &[8]),
        ("norm".to_owned(), vec![8]),
    ];
    let named = inside.into_iter();
    named
        .map(|(name, shape)| (format!("model.{name}.weight"), shape))
        .collect()
}

#[test]
fn sizes_come_from_the_keys() {
    let config = config(&[], &[], &[]).unwrap();
    for (key, value) in [
        ("model_type", json!("llama")),
        ("hidden_size", json!(8)),
        ("head_dim", json!(4)),
        ("num_key_value_heads", json!(1)),
        ("vocab_size", json!(6)),
        ("rms_norm_eps", json!(0.5)),
        ("rope_theta", json!(500.0)),
        ("tie_word_embeddings", json!(true)),
        ("bos_token_id", json!(5)),
        ("rope_scaling", Json::Null),
    ] {
        assert_eq!(config[key], value, "{key}");
    }
}

#[test]
fn biases_tell_the_family() {
    let family = |biases: &[&str]| config(&[], biases, &[]).unwrap()["model_type"].clone();
    let inputs = ["blk.0.attn_q", "blk.0.attn_k", "blk.0.attn_v"];
    assert_eq!(family(&inputs), "qwen2");
    let mut all = inputs.to_vec();
    all.push("blk.0.attn_output");
    assert_eq!(family(&all), "llama");
    assert_eq!(family(&["blk.0.attn_output"]), "seed_oss");
    let mut with_mlp = inputs.to_vec();
    with_mlp.push("blk.0.ffn_down");
    assert_eq!(family(&with_mlp), "seed_oss");
}

#[test]
fn the_rope_is_what_llama_cpp_computes() {
    let both = ["rope_factors_long", "rope_factors_short"];
    let border = (
        "llama.rope.scaling.original_context_length",
        Some(Value::U32(256)),
    );
    let attention = ("llama.rope.scaling.attn_factor", Some(Value::F32(1.5)));
    let found = config(&[border.clone(), attention], &[], &both).unwrap();
    let expected = json!({
        "rope_type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [1.0, 2.0],
        "original_max_position_embeddings": 256, "attention_factor": 1.5,
    });
    assert_eq!(found["rope_scaling"], expected);
    assert_eq!(found["original_max_position_embeddings"], 256);
    // One tensor for all lengths, as for LLaMA 3.
    let found = config(&[], &[], &["rope_freqs"]).unwrap();
    assert_eq!(found["rope_scaling"]["long_factor"], json!([1.0, 2.0]));
    // A type without factors has no effect.
    let kind = |name: &str| ("llama.rope.scaling.type", Some(Value::from(name)));
    let found = config(&[kind("longrope")], &[], &[]).unwrap();
    assert_eq!(found["rope_scaling"], Json::Null);
    let factor = ("llama.rope.scaling.factor", Some(Value::F32(4.0)));
    let found = config(&[kind("linear"), factor], &[], &[]).unwrap();
    assert_eq!(
        found["rope_scaling"],
        json!({"rope_type": "linear", "factor": 4.0})
    );
    assert!(config(&[], &[], &["rope_factors_long"]).is_err());
}

/// The config of the same model, with these keys, as another architecture.
pub(super) fn config_as(name: &str, more: &[(&str, Value)], ropes: &[&str]) -> Result<Json> {
    let sizes = [
        ("context_length", Value::U32(1024)),
        ("embedding_length", Value::U32(8)),
        ("block_count", Value::U32(1)),
        ("feed_forward_length", Value::U32(4)),
        ("attention.head_count", Value::U32(2)),
        ("attention.layer_norm_rms_epsilon", Value::F32(0.5)),
    ];
    let keys = sizes.iter().chain(more);
    let mut changes: Vec<(String, Value)> = keys
        .map(|(key, value)| (format!("{name}.{key}"), value.clone()))
        .collect();
    changes.push(("general.architecture".to_owned(), name.into()));
    let changes: Vec<(&str, Option<Value>)> = changes
        .iter()
        .map(|(key, value)| (key.as_str(), Some(value.clone())))
        .collect();
    config(&changes, &[], ropes)
}

#[test]
fn a_scale_without_a_type_is_linear() {
    let linear = json!({"rope_type": "linear", "factor": 4.0});
    for key in ["llama.rope.scaling.factor", "llama.rope.scale_linear"] {
        let found = config(&[(key, Some(Value::F32(4.0)))], &[], &[]).unwrap();
        assert_eq!(found["rope_scaling"], linear, "{key}");
    }
    let with_type = |name: &str, scale: f32| {
        let changes = [
            ("llama.rope.scaling.type", Some(Value::from(name))),
            ("llama.rope.scaling.factor", Some(Value::F32(scale))),
        ];
        config(&changes, &[], &[]).unwrap()["rope_scaling"].clone()
    };
    assert_eq!(with_type("none", 4.0), Json::Null);
    assert_eq!(with_type("longrope", 4.0), linear);
    assert_eq!(with_type("linear", 0.0), Json::Null);
}

#[test]
fn a_scale_divides_positions_beside_factors_too() {
    let scale = ("llama.rope.scaling.factor", Some(Value::F32(4.0)));
    let found = config(std::slice::from_ref(&scale), &[], &["rope_freqs"]).unwrap();
    assert_eq!(found["rope_scaling"]["long_factor"], json!([4.0, 8.0]));
    let yarn = ("llama.rope.scaling.type", Some("yarn".into()));
    let message = config(&[scale, yarn], &[], &["rope_freqs"]).unwrap_err();
    assert!(message.to_string().contains("beside the scaling `yarn`"));
}

#[test]
fn an_attention_scale_counts_without_factors() {
    let attention = ("llama.rope.scaling.attn_factor", Some(Value::F32(1.5)));
    let found = config(&[attention], &[], &[]).unwrap();
    assert_eq!(found["rope_scaling"]["attention_factor"], 1.5);
    assert_eq!(found["rope_scaling"]["long_factor"], json!([1.0, 1.0]));
}

#[test]
fn keys_that_llama_cpp_refuses_are_named() {
    for (key, value, words) in [
        (
            "llama.rope.scaling.type",
            Value::from("dynamic"),
            "is \"dynamic\", expected none, linear, yarn or longrope",
        ),
        (
            "llama.rope.scaling.type",
            Value::U32(1),
            "expected none, linear, yarn or longrope",
        ),
        (
            "llama.rope.dimension_count",
            Value::U32(2),
            "is 2, expected the width of a head",
        ),
        (
            "tokenizer.ggml.bos_token_id",
            "1".into(),
            "is \"1\", expected a whole number from 0",
        ),
        (
            "tokenizer.ggml.eos_token_id",
            Value::I32(-1),
            "is -1, expected a whole number from 0",
        ),
    ] {
        let message = config(&[(key, Some(value))], &[], &[]).unwrap_err();
        let message = message.to_string();
        assert!(
            message.contains(&format!("key `{key}`")) && message.contains(words),
            "{message}"
        );
    }
    let qwen3 = [("rope.dimension_count", Value::U32(2))];
    let message = config_as("qwen3", &qwen3, &[]).unwrap_err().to_string();
    assert!(message.contains("qwen3.rope.dimension_count"), "{message}");
}

#[test]
fn factors_of_other_architectures_are_refused() {
    let message = config_as("qwen3", &[], &["rope_freqs"]).unwrap_err();
    let words = "`rope_freqs.weight` has factors of frequencies, which llama.cpp does not load";
    assert!(message.to_string().contains(words), "{message}");
    assert!(config_as("granite", &[], &["rope_freqs"]).is_ok());
}

#[test]
fn scores_of_granite_have_the_usual_scale_if_none_is_stated() {
    let found = config_as("granite", &[], &[]).unwrap();
    // 1 / sqrt(4)
    assert_eq!(found["attention_multiplier"], 0.5);
    let stated = [
        ("attention.scale", Value::F32(0.25)),
        ("embedding_scale", Value::F32(0.0)),
    ];
    let found = config_as("granite", &stated, &[]).unwrap();
    assert_eq!(found["attention_multiplier"], 0.25);
    assert_eq!(found["embedding_multiplier"], 1.0);
}

#[test]
fn a_granite_without_rope_is_refused() {
    let rests = |rests: bool| {
        let key = ("rope.scaling.finetuned", Value::Bool(!rests));
        config_as("granite", &[key], &[])
    };
    assert!(rests(false).is_ok());
    let message = rests(true).unwrap_err().to_string();
    assert!(
        message.contains("`granite.rope.scaling.finetuned` is false"),
        "{message}"
    );
}

#[test]
fn ends_of_turns_end_a_text() {
    let token = |key: &'static str, id: u32| (key, Some(Value::U32(id)));
    let eos = token("tokenizer.ggml.eos_token_id", 4);
    let eot = token("tokenizer.ggml.eot_token_id", 3);
    let ends = |changes: &[(&str, Option<Value>)]| {
        config(changes, &[], &[]).unwrap()["eos_token_id"].clone()
    };
    assert_eq!(ends(&[eos.clone(), eot.clone()]), json!([4, 3]));
    assert_eq!(ends(&[eot]), 3);
    assert_eq!(ends(std::slice::from_ref(&eos)), 4);
    // The vocabulary has 6 tokens.
    assert_eq!(ends(&[eos, token("tokenizer.ggml.eom_token_id", 6)]), 4);
}

/// The files of a folder made of a file with these changes.
fn folder_of(changes: &[(&str, Option<Value>)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    write(&path, changes, &[], &[]);
    write_folder(&GgufFile::open(&path).unwrap(), &needed(), folder.path()).unwrap();
    folder
}

fn json_in(folder: &tempfile::TempDir, name: &str) -> Json {
    let text = fs_err::read_to_string(folder.path().join(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn tokens_that_llama_cpp_knows_by_their_text_end_a_text() {
    let texts = ["t0", "t1", "<|im_end|>", "<|file_sep|>", "t4", "t5"];
    let tokens = Value::Array(texts.map(Value::from).to_vec());
    let changes = [
        ("tokenizer.ggml.tokens", Some(tokens)),
        ("tokenizer.ggml.eos_token_id", Some(Value::U32(4))),
        ("tokenizer.ggml.fim_pad_token_id", Some(Value::U32(1))),
    ];
    let folder = folder_of(&changes);
    let generation = json_in(&folder, "generation_config.json");
    assert_eq!(generation["eos_token_id"], json!([4, 1, 2, 3]));
    assert_eq!(generation["bos_token_id"], 5);
    // Its bytes are a part of the fingerprint of the model.
    assert_eq!(json_in(&folder, "config.json")["eos_token_id"], 4);
    let folder = folder_of(&[]);
    assert!(!folder.path().join("generation_config.json").exists());
}

#[test]
fn of_the_tokens_of_code_the_one_that_a_key_names_ends_a_text() {
    for (texts, expected) in [
        (
            ["[PAD]", "<|fim_pad|>", "</s>", "t3", "t4", "t5"],
            json!([4, 1, 2]),
        ),
        (
            ["<|end|>", "<|return|>", "<|call|>", "t3", "t4", "t5"],
            json!([4, 1, 2]),
        ),
        (
            ["<|end|>", "t1", "<|call|>", "t3", "t4", "t5"],
            json!([4, 0, 1, 2]),
        ),
        (
            ["</s>", "<|tool_response>", "t2", "t3", "t4", "t5"],
            json!([4, 1]),
        ),
    ] {
        let tokens = Value::Array(texts.map(Value::from).to_vec());
        let folder = folder_of(&[
            ("tokenizer.ggml.tokens", Some(tokens)),
            ("tokenizer.ggml.eos_token_id", Some(Value::U32(4))),
            ("tokenizer.ggml.fim_pad_token_id", Some(Value::U32(1))),
        ]);
        let generation = json_in(&folder, "generation_config.json");
        assert_eq!(generation["eos_token_id"], expected, "{texts:?}");
    }
}

#[test]
fn spaces_after_tokens_of_phi_3_are_left_out() {
    let texts = ["<unk>", "<s>", "<|end|>", "</s>", "a", "b"];
    let types = [2, 3, 3, 4, 1, 1].map(Value::I32);
    let tokens = Value::Array(texts.map(Value::from).to_vec());
    for (name, strips) in [
        ("Phi-3-mini", [false, false, true, true]),
        ("my-llama", [false; 4]),
    ] {
        let changes = [
            ("general.name", Some(Value::from(name))),
            ("tokenizer.ggml.tokens", Some(tokens.clone())),
            (
                "tokenizer.ggml.token_type",
                Some(Value::Array(types.to_vec())),
            ),
        ];
        let tokenizer = json_in(&folder_of(&changes), "tokenizer.json");
        let added = tokenizer["added_tokens"].as_array().unwrap();
        let found: Vec<bool> = added.iter().map(|token| token["rstrip"] == true).collect();
        assert_eq!(found, strips, "{name}");
    }
}

#[test]
fn keys_of_the_tokenizer_have_types() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    for (key, value) in [
        ("add_bos_token", Value::U32(1)),
        ("token_type", Value::Array(vec![Value::F32(1.0); 6])),
    ] {
        let key = format!("tokenizer.ggml.{key}");
        write(&path, &[(key.as_str(), Some(value))], &[], &[]);
        let found = tokenizer::files(&GgufFile::open(&path).unwrap());
        let Err(error) = found else {
            panic!("{key} is read")
        };
        assert!(error.to_string().contains(&format!("key `{key}` is")));
    }
}

#[test]
fn a_part_of_a_split_model_is_refused() {
    let split = ("split.count", Some(Value::U16(2)));
    let error = config(&[split], &[], &[]).unwrap_err();
    assert!(matches!(error, Error::Split { count: 2, .. }), "{error}");
    let whole = ("split.count", Some(Value::U16(1)));
    assert!(config(&[whole], &[], &[]).is_ok());
    // The other parts have no keys of the model.
    let later = [
        ("split.count", Some(Value::U16(2))),
        ("general.architecture", None),
    ];
    let error = config(&later, &[], &[]).unwrap_err();
    assert!(matches!(error, Error::Split { .. }), "{error}");
}

#[test]
fn wrong_keys_are_named() {
    for (key, value, words) in [
        ("llama.block_count", None, "`llama.block_count` is missing"),
        (
            "llama.block_count",
            Some(Value::from("x")),
            "`llama.block_count` is \"x\", expected a whole number",
        ),
        (
            "general.architecture",
            Some("rwkv".into()),
            "expected llama",
        ),
        (
            "llama.attention.head_count",
            Some(Value::U32(0)),
            "num_attention_heads",
        ),
    ] {
        let message = config(&[(key, value)], &[], &[]).unwrap_err().to_string();
        assert!(message.contains(words), "{message}");
    }
}

#[test]
fn a_file_becomes_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    write(&path, &[], &[], &[]);
    let out = folder.path().join("out");
    fs_err::create_dir(&out).unwrap();
    write_folder(&GgufFile::open(&path).unwrap(), &needed(), &out).unwrap();

    let bytes = fs_err::read(out.join("model.safetensors")).unwrap();
    let len = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let header: Json = serde_json::from_slice(&bytes[8..8 + len]).unwrap();
    let values = |name: &str| -> Vec<f32> {
        let offsets = &header[name]["data_offsets"];
        let at = |i: usize| 8 + len + usize::try_from(offsets[i].as_u64().unwrap()).unwrap();
        let (floats, _) = bytes[at(0)..at(1)].as_chunks::<4>();
        floats.iter().map(|it| f32::from_le_bytes(*it)).collect()
    };
    assert_eq!(header["model.embed_tokens.weight"]["shape"], json!([6, 8]));
    // Rows 0, 2, 1, 3 of the one head.
    let keys = values("model.layers.0.self_attn.k_proj.weight");
    let firsts: Vec<f32> = keys.iter().copied().step_by(8).collect();
    assert_eq!(firsts, [1.0, 17.0, 9.0, 25.0]);
    let down = values("model.layers.0.mlp.down_proj.weight");
    assert_eq!(down[..3], [1.0, 2.0, 3.0]);

    let text = fs_err::read_to_string(out.join("tokenizer.json")).unwrap();
    let tokenizer: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(tokenizer["model"]["vocab"]["t3"], 3);
    assert_eq!(tokenizer["model"]["merges"], json!(["t 0"]));
    assert_eq!(
        tokenizer["post_processor"]["special_tokens"]["t5"]["ids"],
        json!([5])
    );
    let text = fs_err::read_to_string(out.join("tokenizer_config.json")).unwrap();
    let config: Json = serde_json::from_str(&text).unwrap();
    assert_eq!(config["bos_token"], "t5");
    // transformers would take the class of the family, which is for another kind of tokenizer.
    assert_eq!(config["tokenizer_class"], "PreTrainedTokenizerFast");
}

#[test]
fn a_file_without_some_layers_is_not_unpacked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    write(
        &path,
        &[("llama.block_count", Some(Value::U32(3)))],
        &[],
        &[],
    );
    let file = GgufFile::open(&path).unwrap();
    let error = write_folder(&file, &needed(), folder.path()).unwrap_err();
    let words = "it has no tensors of layer 1, expected 3 layers";
    assert!(error.to_string().contains(words), "{error}");
    // As for programs that do not unpack it.
    assert!(config_json(&file).is_err());
    assert!(!folder.path().join("model.safetensors").exists());
}

#[test]
fn scores_become_merges() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.gguf");
    let list = |values: Vec<Value>| Some(Value::Array(values));
    let texts = ["<unk>", "a", "b", "ab", "ba", "aba"];
    let types = [2, 1, 1, 1, 1, 1].map(Value::I32);
    let scores = [0.0, -9.0, -9.0, -2.0, -1.0, -3.0].map(Value::F32);
    let changes = [
        ("tokenizer.ggml.model", Some("llama".into())),
        (
            "tokenizer.ggml.tokens",
            list(texts.map(Value::from).to_vec()),
        ),
        ("tokenizer.ggml.token_type", list(types.to_vec())),
        ("tokenizer.ggml.scores", list(scores.to_vec())),
        ("tokenizer.ggml.add_space_prefix", Some(Value::Bool(false))),
    ];
    write(&path, &changes, &[], &[]);
    let files = tokenizer::files(&GgufFile::open(&path).unwrap()).unwrap();
    let files = files.unwrap();
    assert_eq!(files.config["tokenizer_class"], "PreTrainedTokenizerFast");
    let tokenizer = files.tokenizer;
    let expected = json!([["b", "a"], ["a", "b"], ["a", "ba"], ["ab", "a"]]);
    assert_eq!(tokenizer["model"]["merges"], expected);
    assert_eq!(tokenizer["model"]["unk_token"], "<unk>");
    assert_eq!(
        tokenizer["normalizer"]["normalizers"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}
