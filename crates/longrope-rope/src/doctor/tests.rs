//! Rules against what was read in the sources.

use serde_json::{Value, json};

use super::*;
use crate::AttentionScale;

pub(super) const FAMILIES: [&str; 4] = ["llama", "mistral", "phi3", "qwen2"];
pub(super) const SHORT: [f64; 4] = [1.0, 1.1, 1.2, 1.3];
pub(super) const LONG: [f64; 4] = [1.0, 2.0, 4.0, 8.0];

/// A model with heads of 8 and a window of 4096 tokens, or more if a test says so.
pub(super) fn model(model_type: &str, rope: Value) -> Value {
    let mut config = json!({
        "model_type": model_type, "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 4,
        "max_position_embeddings": 4096, "rope_theta": 10000.0,
    });
    let Value::Object(rope) = rope else {
        panic!("not an object")
    };
    config.as_object_mut().unwrap().extend(rope);
    config
}

/// As published LongRoPE checkpoints are: 4096 tokens extended to 131072.
pub(super) fn published(model_type: &str) -> Value {
    model(
        model_type,
        json!({
            "max_position_embeddings": 131_072, "original_max_position_embeddings": 4096,
            "rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": LONG},
        }),
    )
}

pub(super) fn with(mut config: Value, pointer: &str, key: &str, value: Value) -> Value {
    let section = config.pointer_mut(pointer).unwrap();
    section
        .as_object_mut()
        .unwrap()
        .insert(key.to_owned(), value);
    config
}

pub(super) fn rules(config: &Value, runtime: Runtime) -> Rules {
    let diagnosis = diagnose(config).unwrap();
    let view = diagnosis
        .runtimes
        .iter()
        .find(|view| view.runtime == runtime);
    view.unwrap().rules().unwrap().clone()
}

pub(super) fn reason(config: &Value, runtime: Runtime) -> Option<String> {
    let diagnosis = diagnose(config).unwrap();
    let view = diagnosis
        .runtimes
        .into_iter()
        .find(|view| view.runtime == runtime);
    match view.unwrap().outcome {
        Outcome::Loads(_) => None,
        Outcome::Refuses { reason } | Outcome::Unknown { reason } => Some(reason),
    }
}

pub(super) fn scales(rules: &Rules) -> Vec<f64> {
    rules
        .factors
        .iter()
        .map(|row| row.attention_scale)
        .collect()
}

pub(super) fn about(config: &Value, runtime: Runtime) -> Vec<Topic> {
    let diagnosis = diagnose(config).unwrap();
    let lines = diagnosis.disagreements.into_iter();
    lines
        .filter(|line| line.runtimes.contains(&runtime))
        .flat_map(|line| line.topics)
        .collect()
}

#[test]
fn all_agree_on_a_plain_model() {
    for family in FAMILIES {
        let original = json!({"original_max_position_embeddings": 4096});
        let diagnosis = diagnose(&model(family, original)).unwrap();
        assert_eq!(diagnosis.disagreements, []);
        assert_eq!(diagnosis.advice, []);
    }
}

#[test]
fn all_load_linear_and_llama3_but_for_known_gaps() {
    let linear = model(
        "llama",
        json!({"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    );
    for runtime in [
        Runtime::Transformers4,
        Runtime::Transformers5,
        Runtime::LlamaCpp,
    ] {
        assert_eq!(about(&linear, runtime), []);
        assert_eq!(rules(&linear, runtime).factors[0].last, 4.0);
    }
    assert_eq!(about(&linear, Runtime::Vllm), [Topic::DefaultContext]);
    assert_eq!(rules(&linear, Runtime::Vllm).default_context, Some(16_384));

    let llama3 = |original: usize| {
        model(
            "llama",
            json!({"max_position_embeddings": 131_072, "rope_scaling": {
                "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                "original_max_position_embeddings": original,
            }}),
        )
    };
    assert_eq!(diagnose(&llama3(8192)).unwrap().disagreements, []);
    assert_eq!(about(&llama3(512), Runtime::LlamaCpp), [Topic::Factors]);
    let top = with(
        llama3(512),
        "",
        "original_max_position_embeddings",
        json!(512),
    );
    assert_eq!(diagnose(&top).unwrap().disagreements, []);
}

#[test]
fn a_published_phi3_is_switched_in_seven_ways() {
    let config = published("phi3");
    let su = AttentionScale::Su {}.value(32.0, 4096);
    let switch = |runtime| rules(&config, runtime).switch;
    for runtime in [Runtime::Transformers4, Runtime::Transformers5] {
        let expected = Switch::PerForward {
            border: 4096,
            recomputes_cache: true,
        };
        assert_eq!(switch(runtime), expected);
    }
    assert_eq!(switch(Runtime::Vllm), Switch::AtLoad { border: 4096 });
    assert_eq!(
        switch(Runtime::LlamaCpp),
        Switch::ByAllocation { border: 4096 }
    );
    assert_eq!(switch(Runtime::Candle), Switch::ByPosition { border: 4096 });
    assert_eq!(
        switch(Runtime::Longrope),
        Switch::PerSequence { border: 4096 }
    );
    assert_eq!(switch(Runtime::MlxLm), Switch::AlwaysLong {});
    assert_eq!(
        switch(Runtime::Exllamav3),
        Switch::ByRequestedLength { border: 4096 }
    );
    for runtime in Runtime::ALL {
        let rules = rules(&config, runtime);
        let (scale, last) = if runtime == Runtime::Candle {
            (1.0, 1.0 / 8.0)
        } else {
            (su, 8.0)
        };
        let n_sets = if runtime == Runtime::MlxLm { 1 } else { 2 };
        assert_eq!(scales(&rules), vec![scale; n_sets], "{runtime:?}");
        assert_eq!(rules.factors[n_sets - 1].last, last, "{runtime:?}");
    }
    assert_eq!(rules(&config, Runtime::Vllm).default_context, Some(4096));
    assert_eq!(
        rules(&config, Runtime::LlamaCpp).default_context,
        Some(131_072)
    );
}

#[test]
fn only_phi3_models_compute_the_cache_anew() {
    for (family, expected) in [
        ("llama", false),
        ("mistral", false),
        ("phi3", true),
        ("qwen2", false),
    ] {
        let Switch::PerForward {
            recomputes_cache, ..
        } = rules(&published(family), Runtime::Transformers5).switch
        else {
            panic!("{family}")
        };
        assert_eq!(recomputes_cache, expected, "{family}");
    }
}

#[test]
fn the_converter_of_llama_cpp_loses_the_factors_of_other_families() {
    for family in ["llama", "mistral", "qwen2"] {
        let rules = rules(&published(family), Runtime::LlamaCpp);
        assert_eq!((rules.factors.len(), rules.factors[0].last), (1, 1.0));
        assert_eq!(scales(&rules), [1.0]);
    }
}

#[test]
fn versions_of_transformers_disagree_about_an_inconsistent_factor() {
    let config = with(published("llama"), "/rope_scaling", "factor", json!(16.0));
    let su = |scale| AttentionScale::Su {}.value(scale, 4096);
    assert_eq!(
        scales(&rules(&config, Runtime::Transformers4)),
        [su(32.0); 2]
    );
    assert_eq!(
        scales(&rules(&config, Runtime::Transformers5)),
        [su(16.0); 2]
    );
    assert_eq!(scales(&rules(&config, Runtime::Vllm)), [su(32.0); 2]);
    let exact = with(published("llama"), "/rope_scaling", "factor", json!(32.0));
    assert!(!about(&exact, Runtime::Transformers5).contains(&Topic::AttentionScale));
}

#[test]
fn an_attention_factor_is_not_read_everywhere() {
    let config = with(
        published("llama"),
        "/rope_scaling",
        "attention_factor",
        json!(1.5),
    );
    let su = AttentionScale::Su {}.value(32.0, 4096);
    assert_eq!(scales(&rules(&config, Runtime::Transformers4)), [1.5; 2]);
    assert_eq!(scales(&rules(&config, Runtime::Transformers5)), [1.5; 2]);
    assert_eq!(scales(&rules(&config, Runtime::Vllm)), [su; 2]);
    let repeat_it = |config: &Value| {
        let advice = diagnose(config).unwrap().advice;
        advice
            .iter()
            .any(|advice| advice.text.contains("repeat `attention_factor`"))
    };
    assert!(repeat_it(&config));
    let repeated = with(config, "/rope_scaling", "short_mscale", json!(1.5));
    let repeated = with(repeated, "/rope_scaling", "long_mscale", json!(1.5));
    assert_eq!(scales(&rules(&repeated, Runtime::Vllm)), [1.5; 2]);
    assert!(!repeat_it(&repeated));
    let phi3 = with(
        published("phi3"),
        "/rope_scaling",
        "attention_factor",
        json!(1.5),
    );
    assert_eq!(scales(&rules(&phi3, Runtime::LlamaCpp)), [su; 2]);
    assert!(
        reason(&phi3, Runtime::Transformers4)
            .unwrap()
            .contains("nothing else")
    );
}

#[test]
fn without_an_original_context_long_factors_are_beyond_the_claim() {
    let mut config = published("llama");
    config
        .as_object_mut()
        .unwrap()
        .remove("original_max_position_embeddings");
    let diagnosis = diagnose(&config).unwrap();
    assert_eq!(
        rules(&config, Runtime::Longrope).switch,
        Switch::PerSequence { border: 131_072 }
    );
    assert_eq!(scales(&rules(&config, Runtime::Transformers5)), [1.0; 2]);
    assert!(
        reason(&config, Runtime::Transformers4)
            .unwrap()
            .contains("TypeError")
    );
    let text = diagnosis.advice[0].to_string();
    assert!(text.contains("runtimes take scale 1"), "{text}");
}

#[test]
fn transformers_4_looks_for_the_original_context_at_the_top_level() {
    let mut config = published("llama");
    config
        .as_object_mut()
        .unwrap()
        .remove("original_max_position_embeddings");
    let config = with(
        config,
        "/rope_scaling",
        "original_max_position_embeddings",
        json!(4096),
    );
    let config = with(config, "/rope_scaling", "factor", json!(32.0));
    let v4 = rules(&config, Runtime::Transformers4);
    // Its border is the claimed context, so the long factors are never reached.
    let expected = Switch::PerForward {
        border: 131_072,
        recomputes_cache: false,
    };
    assert_eq!((v4.factors.len(), v4.switch), (2, expected));
    assert_eq!(rules(&config, Runtime::Transformers5).factors.len(), 2);
    assert_eq!(rules(&config, Runtime::Vllm).default_context, Some(131_072));
}

#[test]
fn the_new_spelling_is_lost_on_older_readers() {
    let config = model(
        "llama",
        json!({"rope_theta": null, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 500_000.0}}),
    );
    for runtime in [Runtime::Transformers4, Runtime::Candle] {
        let rules = rules(&config, runtime);
        assert_eq!((rules.theta, rules.factors[0].last), (10_000.0, 1.0));
        assert_eq!(about(&config, runtime), [Topic::Theta, Topic::Factors]);
    }
    assert_eq!(about(&config, Runtime::Transformers5), []);
}

#[test]
fn a_config_that_is_refused_elsewhere_has_no_diagnosis() {
    for (model_type, key, value) in [
        ("qwen2", "layer_types", json!(["full_attention"])),
        ("llama", "hidden_act", json!("xielu")),
        ("mistral", "sliding_window", json!(-1)),
    ] {
        let error = diagnose(&model(model_type, json!({key: value}))).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("`{key}` of")),
            "{error}"
        );
    }
}

/// The names of runtimes in the advice for a config whose family few runtimes are known for.
#[test]
fn nothing_is_advised_for_runtimes_that_are_not_known() {
    let yarn =
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024});
    let long = json!({"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG, "factor": 4.0,
        "original_max_position_embeddings": 1024, "attention_factor": 1.5});
    for (section, max) in [(&yarn, 1024), (&yarn, 4096), (&long, 4096)] {
        for spelling in ["rope_scaling", "rope_parameters"] {
            let rope = json!({spelling: section, "max_position_embeddings": max,
                "original_max_position_embeddings": 1024});
            let diagnosis = diagnose(&model("arcee", rope)).unwrap();
            let unknown = diagnosis.runtimes.iter();
            let unknown = unknown.filter(|view| matches!(view.outcome, Outcome::Unknown { .. }));
            let unknown: Vec<&str> = unknown.map(|view| view.runtime.name()).collect();
            assert_eq!(unknown.len(), 8);
            for advice in &diagnosis.advice {
                let text = advice.to_string();
                for name in &unknown {
                    assert!(!text.contains(name), "{name} is not known: {text}");
                }
            }
        }
    }
}

#[test]
fn two_attention_scales_need_no_repetition() {
    let section = json!({"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
        "original_max_position_embeddings": 1024, "attention_factor": 1.5, "short_mscale": 1.0, "long_mscale": 1.5});
    let config = model(
        "llama",
        json!({"rope_scaling": section, "original_max_position_embeddings": 1024}),
    );
    for advice in diagnose(&config).unwrap().advice {
        assert!(
            !advice.text.contains("repeat `attention_factor`"),
            "{advice}"
        );
    }
}

#[test]
fn transformers_loses_the_long_factors_of_phimoe() {
    let section = json!({"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
        "original_max_position_embeddings": 1024, "short_mscale": 1.1, "long_mscale": 1.2});
    let config = model(
        "phimoe",
        json!({"rope_scaling": section, "original_max_position_embeddings": 1024}),
    );
    let theirs = rules(&config, Runtime::Transformers5);
    assert_eq!(scales(&theirs), [1.1, 1.2]);
    assert!(theirs.factors.iter().all(|row| row.values == SHORT));
    assert_eq!(
        about(&config, Runtime::Transformers5),
        [Topic::Factors, Topic::Switch]
    );
    let lines = diagnose(&config).unwrap().disagreements;
    assert!(
        lines[0].to_string().contains("the extension is lost there"),
        "{}",
        lines[0]
    );
    assert!(reason(&config, Runtime::Vllm).is_some(), "not known");
}

#[test]
fn a_split_section_of_a_model_with_one_rope_does_not_load() {
    let part = json!({"rope_type": "default", "rope_theta": 5e5});
    let config = model(
        "qwen2",
        json!({"rope_parameters": {"full_attention": part}}),
    );
    assert!(
        reason(&config, Runtime::Transformers5)
            .unwrap()
            .contains("split by layer type")
    );
}

#[test]
fn transformers_merges_the_sections_of_classes_with_two_ropes_as_we_do() {
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "truncate": false});
    let parts = json!({"full_attention": {"rope_type": "default", "rope_theta": 5e5}, "sliding_attention": null});
    for family in ["gemma3_text", "olmo3"] {
        for rope in [
            json!({"rope_scaling": {"type": "linear", "factor": 8.0}}),
            json!({"rope_scaling": yarn, "original_max_position_embeddings": 1024}),
            json!({"rope_scaling": yarn, "rope_parameters": parts}),
        ] {
            let config = model(family, with(rope, "", "head_dim", json!(8)));
            assert_eq!(reason(&config, Runtime::Transformers5), None, "{config}");
            assert_eq!(about(&config, Runtime::Transformers5), [], "{config}");
        }
    }
}

#[test]
fn a_scaled_rope_of_mixtral_needs_a_head_dim() {
    let yarn =
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024});
    let config = |model_type: &str, head_dim: Value| {
        let config = model(model_type, json!({"rope_scaling": yarn}));
        with(config, "", "head_dim", head_dim)
    };
    let without = model("mixtral", json!({"rope_scaling": yarn}));
    for config in [config("mixtral", Value::Null), without] {
        let refusal = reason(&config, Runtime::Transformers5).unwrap();
        assert!(refusal.contains("TypeError"), "{refusal}");
        // It has a way of its own to find the size.
        assert_eq!(reason(&config, Runtime::Vllm), None);
        let advice = diagnose(&config).unwrap().advice;
        let is_told = advice.iter().any(|line| line.text == "write `head_dim` 8");
        assert!(is_told, "{advice:?}");
    }
    let whole = config("mixtral", json!(8));
    assert_eq!(reason(&whole, Runtime::Transformers5), None);
    // This class fills it in.
    let llama = config("llama", Value::Null);
    assert_eq!(reason(&llama, Runtime::Transformers5), None);
    let plain = model("mixtral", json!({"head_dim": null}));
    assert_eq!(reason(&plain, Runtime::Transformers5), None);
}

#[test]
fn nested_configs_of_other_families_are_named_as_such() {
    let config = json!({"model_type": "llava", "text_config": model("mistral", json!({}))});
    let error = diagnose(&config).unwrap_err().to_string();
    assert!(error.contains("\"llava\""), "{error}");
}

#[test]
fn other_families_are_not_guessed() {
    let error = diagnose(&model("gemma", json!({}))).unwrap_err();
    let error = error.to_string();
    let expected = "`model_type` of the model config is \"gemma\", expected one of `llama`, `mistral`, `phi3`, `qwen2`";
    assert!(error.starts_with(expected), "{error}");
}
