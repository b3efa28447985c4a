//! Configs of all families: what is read, and that a written rope is read back.

use std::path::Path;

use longrope_rope::{
    Method, RopeScaling, Rotation, diagnose, hf_rope_keys, read_hf_config, read_hf_rope,
    write_hf_rope,
};
use serde_json::{Value, json};

fn error(config: &Value) -> String {
    read_hf_config(config).unwrap_err().to_string()
}

/// Name and config of every checkpoint that transformers made.
fn configs() -> Vec<(String, Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/decoders");
    let mut folders: Vec<_> = fs_err::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    folders.sort();
    let read = |folder: std::path::PathBuf| {
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs_err::read_to_string(folder.join("config.json")).unwrap();
        (name, serde_json::from_str(&text).unwrap())
    };
    folders.into_iter().map(read).collect()
}

#[test]
fn the_keys_of_a_written_rope_are_all_that_its_base_needs() {
    for (name, config) in configs() {
        let base = read_hf_config(&config).unwrap().rope.spec.plain();
        let target = 4 * base.original_context;
        let yarn = Method::Yarn.spec(&base, target).unwrap();
        let mut written = config.as_object().unwrap().clone();
        write_hf_rope(&mut written, &yarn, target).unwrap();
        let mut changed = config.as_object().unwrap().clone();
        for (key, value) in hf_rope_keys(&written) {
            if key == "text_config" {
                let section = changed[&key].as_object_mut().unwrap();
                section.extend(value.as_object().unwrap().clone());
            } else {
                changed.insert(key, value);
            }
        }
        assert_eq!(changed, written, "{name}");
    }
}

#[test]
fn a_written_rope_is_read_back_in_every_family() {
    for (name, config) in configs() {
        let before = read_hf_config(&config).unwrap();
        let base = before.rope.spec.plain();
        let target = 4 * base.original_context;
        let yarn = Method::Yarn.spec(&base, target).unwrap();
        let mut map = config.as_object().unwrap().clone();
        write_hf_rope(&mut map, &yarn, target).unwrap();
        let after = read_hf_config(&Value::Object(map.clone())).unwrap();
        assert_eq!(after.rope.spec, yarn, "{name}");
        assert_eq!(after.rope.max_context, target, "{name}");
        assert_eq!(
            after.rope.local, before.rope.local,
            "{name}: other layers keep theirs"
        );
        assert_eq!(after.layout, before.layout, "{name}");
        // The newer spelling alone says the same.
        let section = before.is_nested.then_some("text_config");
        let keys = match section {
            Some(section) => map[section].as_object_mut().unwrap(),
            None => &mut map,
        };
        keys.remove("rope_scaling");
        let newer = read_hf_rope(&Value::Object(map)).unwrap();
        assert_eq!(
            (newer.spec, newer.local),
            (yarn, before.rope.local),
            "{name}"
        );
    }
}

#[test]
fn every_family_has_a_diagnosis() {
    for (name, config) in configs() {
        let diagnosis = diagnose(&config).unwrap();
        let ours = diagnosis.runtimes.last().unwrap();
        assert!(ours.rules().is_some(), "{name}");
    }
}

#[test]
fn layers_with_a_window_have_a_rope_of_their_own() {
    let old = json!({
        "model_type": "gemma3_text", "num_hidden_layers": 6, "rope_theta": 1e6,
        "rope_local_base_freq": 5000.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    });
    let read = read_hf_config(&old).unwrap();
    assert_eq!(read.rope.spec.scaling, RopeScaling::Linear { scale: 8.0 });
    let local = read.rope.local.unwrap();
    assert_eq!((local.theta, local.scaling), (5000.0, RopeScaling::None {}));
    let rotations = &read.layout.rotations;
    assert_eq!(rotations[..5], [Rotation::Local; 5]);
    assert_eq!(rotations[5], Rotation::Main);
    assert_eq!(read.windows[4..], [Some(4096), None]);

    let olmo = json!({"model_type": "olmo3", "rope_theta": 1e4, "num_hidden_layers": 4});
    let read = read_hf_rope(&olmo).unwrap();
    assert_eq!((read.spec.theta, read.local.unwrap().theta), (1e4, 5e5));
}

#[test]
fn some_layers_do_not_rotate() {
    let read = |config: Value| read_hf_config(&config).unwrap().layout.rotations;
    let (main, none) = (Rotation::Main, Rotation::None);
    let smol = json!({"model_type": "smollm3", "num_hidden_layers": 5});
    assert_eq!(read(smol), [main, main, main, none, main]);
    let listed = json!({
        "model_type": "smollm3", "num_hidden_layers": 3, "no_rope_layers": [0, 1, 1],
    });
    assert_eq!(read(listed), [none, main, main]);
    let wrong = json!({"model_type": "smollm3", "num_hidden_layers": 3, "no_rope_layers": [1]});
    assert!(
        error(&wrong).contains("no_rope_layers"),
        "{}",
        error(&wrong)
    );
    let cohere = json!({"model_type": "cohere2", "num_hidden_layers": 4});
    assert_eq!(read(cohere), [main, main, main, none]);
    let exaone = json!({
        "model_type": "exaone4", "num_hidden_layers": 2, "sliding_window": null,
        "layer_types": ["full_attention", "full_attention"], "sliding_window_pattern": null,
    });
    assert_eq!(read(exaone), [main, main]);
    // The key decides, not the layers.
    let full = json!({
        "model_type": "exaone4", "num_hidden_layers": 2, "layer_types": ["full_attention", "full_attention"],
    });
    assert_eq!(read(full), [none, none]);
    let longer =
        json!({"model_type": "smollm3", "num_hidden_layers": 2, "no_rope_layers": [0, 1, 1, 0]});
    assert_eq!(read(longer), [none, main]);
}

#[test]
fn listed_windows_of_smollm3_count_without_their_switch() {
    let config = json!({
        "model_type": "smollm3", "num_hidden_layers": 2, "sliding_window": 8, "use_sliding_window": false,
        "layer_types": ["sliding_attention", "full_attention"],
    });
    let windows = read_hf_config(&config).unwrap().windows;
    assert_eq!(windows, [Some(8), None]);
}

#[test]
fn the_class_of_mistral_inside_a_model_of_text_and_images_has_no_layer_types() {
    let config = json!({"model_type": "mistral3", "text_config": {
        "num_hidden_layers": 2, "sliding_window": 8, "layer_types": ["full_attention", "full_attention"],
    }});
    let windows = read_hf_config(&config).unwrap().windows;
    assert_eq!(windows, [Some(8); 2]);
}

#[test]
fn minicpm_uses_the_long_factors_at_every_length() {
    let config = |original: usize| {
        json!({
            "model_type": "minicpm", "hidden_size": 32, "num_attention_heads": 4,
            "max_position_embeddings": 64, "rope_scaling": {
                "rope_type": "longrope", "original_max_position_embeddings": original,
                "short_factor": [1.0, 1.0, 1.0, 1.0], "long_factor": [1.0, 1.5, 2.0, 2.5],
            },
        })
    };
    let factors = |original: usize| {
        let spec = read_hf_rope(&config(original)).unwrap().spec;
        spec.factor_set(16).unwrap().factors.clone()
    };
    let values = |original| factors(original).as_slice().to_vec();
    assert_eq!(values(32), [1.0, 1.5, 2.0, 2.5]);
    // With nothing beyond the original context, short texts have the short factors.
    assert_eq!(values(64), [1.0; 4]);
}

#[test]
fn alpha_raises_the_base_of_hunyuan() {
    let config = json!({
        "model_type": "hunyuan_v1_dense", "head_dim": 128, "rope_theta": 10000.0,
        "rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0, "beta_fast": 32},
    });
    let spec = read_hf_rope(&config).unwrap().spec;
    assert_eq!(spec.scaling, RopeScaling::None {});
    let expected = 1e4 * 1000.0_f64.powf(128.0 / 126.0);
    assert!((spec.theta / expected - 1.0).abs() < 1e-12);
}

#[test]
fn queries_of_ministral_grow() {
    let growth = |config: Value| {
        let read = read_hf_config(&config).unwrap();
        read.layout.attention.query_growth.unwrap()
    };
    let default = growth(json!({"model_type": "ministral3"}));
    assert_eq!((default.beta, default.context), (0.1, 16_384));
    let own = json!({"model_type": "ministral3", "rope_parameters": {
        "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32,
        "llama_4_scaling_beta": 0.2,
    }});
    let own = growth(own);
    assert_eq!((own.beta, own.context), (0.2, 32));
    let outer = growth(
        json!({"model_type": "ministral3", "original_max_position_embeddings": 64, "rope_parameters": {
            "rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0, "original_max_position_embeddings": 32,
            "llama_4_scaling_beta": 0.2,
        }}),
    );
    assert_eq!(outer.context, 64);
}

#[test]
fn what_a_family_does_not_support_is_named() {
    let both_ways = json!({"model_type": "gemma3_text", "use_bidirectional_attention": true});
    assert!(error(&both_ways).contains("use_bidirectional_attention"));
    let norms = json!({"model_type": "stablelm", "qk_layernorm": true});
    assert!(error(&norms).contains("qk_layernorm"));
    let activation = json!({"model_type": "granite", "hidden_act": "mish"});
    assert!(error(&activation).contains("hidden_act"));
}

#[test]
fn a_model_of_text_and_images_without_its_language_model_says_what_is_missing() {
    for whole in [
        json!({"model_type": "gemma3", "vision_config": {}}),
        json!({"model_type": "gemma3", "text_config": 5}),
    ] {
        assert_eq!(
            error(&whole),
            "`model_type` of the model config is \"gemma3\", a model of text and images, but `text_config`, which describes \
             its language model, is missing or no object; a language model alone has the `model_type` \"gemma3_text\""
        );
    }
}

/// As measured with transformers 5.24.
#[test]
fn key_value_heads_are_null_only_where_the_class_takes_it() {
    for family in [
        "llama", "qwen2", "phi3", "smollm3", "ernie4_5", "cohere2", "olmo2",
    ] {
        let config = json!({"model_type": family, "num_key_value_heads": null});
        let read = read_hf_config(&config).unwrap();
        assert_eq!(read.n_kv_heads, read.n_heads, "{family}");
    }
    for family in [
        "mistral",
        "starcoder2",
        "stablelm",
        "gemma2",
        "glm4",
        "qwen3_moe",
        "gpt_oss",
    ] {
        let config = json!({"model_type": family, "num_key_value_heads": null});
        let expected = "`num_key_value_heads` of the model config is null, expected a whole number from 1 to 65536";
        assert_eq!(error(&config), expected, "{family}");
    }
}

#[test]
fn a_language_model_is_read_inside_a_model_of_text_and_images() {
    let whole = json!({
        "model_type": "mistral3", "eos_token_id": 7, "vision_config": {},
        "text_config": {"num_hidden_layers": 3, "sliding_window": null, "head_dim": 128},
    });
    let read = read_hf_config(&whole).unwrap();
    assert!(read.is_nested && read.tied_embeddings);
    assert_eq!((read.n_layers, read.eos_tokens), (3, vec![7]));
    assert_eq!(read.family.model_type(), "mistral");
    let untied = json!({
        "model_type": "mistral3", "tie_word_embeddings": false, "text_config": {"tie_word_embeddings": true},
    });
    assert!(!read_hf_config(&untied).unwrap().tied_embeddings);
}
