//! One table per rule: a config and what each runtime makes of it.

use serde_json::{Value, json};

use super::diagnose;
use super::tests::{LONG, SHORT, about, model, published, reason, rules, scales, with};
use super::view::{Runtime, Switch, Topic};
use crate::AttentionScale;

use Runtime::{
    Candle, Exllamav3, LlamaCpp, Longrope, MistralRs, MlxLm, OnnxruntimeGenai, Sglang,
    Transformers4, Transformers5, Vllm,
};

const OTHERS: [Runtime; 10] = [
    Transformers4,
    Transformers5,
    Vllm,
    Sglang,
    LlamaCpp,
    MlxLm,
    Exllamav3,
    MistralRs,
    Candle,
    OnnxruntimeGenai,
];

fn extended(mut section: Value, more: Value) -> Value {
    let Value::Object(more) = more else {
        panic!("not an object")
    };
    section.as_object_mut().unwrap().extend(more);
    section
}

fn yarn(model_type: &str, more: Value) -> Value {
    let section =
        json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 1024});
    model(
        model_type,
        json!({"head_dim": 8, "rope_scaling": extended(section, more)}),
    )
}

/// Long and short factors whose original context is where every runtime looks.
fn everywhere(model_type: &str, more: Value) -> Value {
    let section = json!({"rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
        "original_max_position_embeddings": 1024});
    model(
        model_type,
        json!({"head_dim": 8, "original_max_position_embeddings": 1024, "rope_scaling": extended(section, more)}),
    )
}

fn loads(config: &Value) -> Vec<Runtime> {
    let diagnosis = diagnose(config).unwrap();
    let loads = |runtime: &Runtime| {
        let mut views = diagnosis.runtimes.iter();
        views.any(|view| view.runtime == *runtime && view.rules().is_some())
    };
    OTHERS.into_iter().filter(loads).collect()
}

fn constant(runtimes: &[Runtime], config: &Value, expected: f64) {
    for runtime in runtimes {
        for scale in scales(&rules(config, *runtime)) {
            assert!(
                (scale - expected).abs() < 1e-12,
                "{runtime:?}: {scale}, not {expected}"
            );
        }
    }
}

#[test]
fn every_view_names_a_version_and_a_source() {
    for view in diagnose(&model("llama", json!({}))).unwrap().runtimes {
        assert!(!view.version.is_empty(), "{:?}", view.runtime);
        let names_it = view.source.contains(view.version);
        assert!(names_it || view.runtime == Longrope, "{:?}", view.runtime);
    }
}

#[test]
fn su_loads_where_the_old_name_is_known() {
    let su = |key: &str, family| {
        let config = everywhere(family, json!({}));
        let mut config = with(config, "/rope_scaling", key, json!("su"));
        if key == "type" {
            config["rope_scaling"]
                .as_object_mut()
                .unwrap()
                .remove("rope_type");
        }
        config
    };
    // vLLM and exllamav3 know it; llama.cpp loads it and loses the factors; ONNX Runtime GenAI drops every LLaMA scaling.
    let expected = [Vllm, LlamaCpp, Exllamav3, OnnxruntimeGenai];
    for key in ["type", "rope_type"] {
        assert_eq!(loads(&su(key, "llama")), expected, "{key}");
    }
    let expected = [Vllm, LlamaCpp, Exllamav3, MistralRs, Candle];
    assert_eq!(loads(&su("type", "qwen2")), expected);
    for runtime in [Transformers4, Transformers5] {
        let reason = reason(&su("type", "llama"), runtime).unwrap();
        assert!(reason.contains("\"su\" (KeyError)"), "{reason}");
    }
}

#[test]
fn su_of_the_first_phi3_files_loads_in_version_4_only() {
    let mut config = published("phi3");
    config["rope_scaling"]["type"] = json!("su");
    assert_eq!(
        loads(&config),
        [Transformers4, LlamaCpp, MlxLm, Exllamav3, MistralRs]
    );
    for runtime in [Transformers5, Vllm, Sglang, OnnxruntimeGenai] {
        let reason = reason(&config, runtime).unwrap();
        assert!(reason.contains("too late"), "{reason}");
    }
}

#[test]
fn dual_chunk_attention_does_not_load_in_vllm_and_sglang() {
    let config = model(
        "qwen2",
        json!({"dual_chunk_attention_config": {"chunk_size": 2048, "local_size": 512, "original_max_position_embeddings": 2048}}),
    );
    for runtime in OTHERS {
        let expected = matches!(runtime, Vllm | Sglang);
        assert_eq!(reason(&config, runtime).is_some(), expected, "{runtime:?}");
    }
    let advice = diagnose(&config).unwrap().advice;
    assert!(
        advice[0]
            .text
            .starts_with("remove `dual_chunk_attention_config`")
    );
}

#[test]
fn yarn_has_an_original_context_in_the_section() {
    let config = yarn("qwen2", json!({}));
    let default = AttentionScale::Yarn {}.value(4.0, 1024);
    for runtime in [
        Transformers4,
        Transformers5,
        Vllm,
        Sglang,
        LlamaCpp,
        MlxLm,
        Exllamav3,
    ] {
        assert_eq!(about(&config, runtime), [], "{runtime:?}");
        constant(&[runtime], &config, default);
    }
    // Its claimed context is the default of all that have one.
    assert_eq!(rules(&config, Vllm).default_context, Some(4096));
    assert_eq!(rules(&config, Sglang).default_context, Some(4096));
}

#[test]
fn yarn_that_keeps_the_window_is_plain_in_exllamav3() {
    let config = yarn("llama", json!({"original_max_position_embeddings": 4096}));
    assert_eq!(rules(&config, Exllamav3).factors[0].last, 1.0);
    assert_eq!(
        about(&config, Exllamav3),
        [Topic::Factors, Topic::AttentionScale]
    );
    for runtime in [Transformers4, Transformers5, Vllm, Sglang, MlxLm] {
        assert_eq!(about(&config, runtime), [], "{runtime:?}");
    }
    let advice = diagnose(&config).unwrap().advice;
    assert!(
        advice[0]
            .text
            .starts_with("write `max_position_embeddings` 16384")
    );
}

#[test]
fn an_attention_factor_of_yarn_is_not_read_everywhere() {
    let config = yarn("qwen2", json!({"attention_factor": 1.5}));
    constant(
        &[Transformers4, Transformers5, Vllm, Exllamav3, Longrope],
        &config,
        1.5,
    );
    let default = AttentionScale::Yarn {}.value(4.0, 1024);
    constant(&[Sglang, LlamaCpp, MlxLm], &config, default);
    let config = yarn("qwen2", json!({"attn_factor": 1.5}));
    constant(&[Sglang], &config, 1.5 * default);
    constant(&[Transformers5, Vllm], &config, default);
}

#[test]
fn mscale_of_yarn_is_read_in_four_ways() {
    let at = |mscale: f64| 1.0 + 0.1 * mscale * 4f64.ln();
    let both = yarn("qwen2", json!({"mscale": 1.0, "mscale_all_dim": 0.7}));
    let readers = [Transformers4, Transformers5, Vllm, Sglang, MlxLm, Longrope];
    constant(&readers, &both, at(1.0) / at(0.7));
    constant(&[LlamaCpp, Exllamav3], &both, at(1.0));
    let one = yarn("qwen2", json!({"mscale": 0.7}));
    constant(
        &[Transformers4, Transformers5, Vllm, Sglang, Longrope],
        &one,
        at(1.0),
    );
    constant(&[MlxLm], &one, at(0.7));
}

#[test]
fn bounds_of_yarn_are_rounded_or_not() {
    let config = yarn("qwen2", json!({"truncate": false}));
    for runtime in [Transformers4, Transformers5, Vllm, Sglang, Exllamav3] {
        assert_eq!(about(&config, runtime), [], "{runtime:?}");
    }
    assert_eq!(about(&config, MlxLm), [Topic::Factors]);
    assert_eq!(about(&config, LlamaCpp), [Topic::Factors]);
    // `null` is no `true`.
    let null = yarn("qwen2", json!({"truncate": null}));
    for runtime in [Transformers5, MlxLm, LlamaCpp] {
        assert_eq!(rules(&null, runtime), rules(&config, runtime));
        assert_eq!(about(&null, runtime), about(&config, runtime));
    }
}

#[test]
fn classes_that_fill_in_a_rope_have_it_in_transformers() {
    for (family, theta) in [("gpt_oss", 150_000.0), ("ministral3", 1_000_000.0)] {
        let config = json!({"model_type": family});
        let ours = rules(&config, Longrope);
        assert_eq!(ours.theta, theta, "{family}");
        assert!(ours.factors[0].last > 1.0, "{family}");
        for runtime in [Transformers5, Vllm] {
            assert_eq!(about(&config, runtime), [], "{family} {runtime:?}");
        }
    }
}

#[test]
fn yarn_of_the_onnx_builder_needs_both_betas() {
    let config = yarn("qwen2", json!({}));
    assert!(
        reason(&config, OnnxruntimeGenai)
            .unwrap()
            .contains("ZeroDivisionError")
    );
    let config = yarn("qwen2", json!({"beta_fast": 32.0, "beta_slow": 1.0}));
    assert_eq!(about(&config, OnnxruntimeGenai), [Topic::Factors]);
    let config = yarn("llama", json!({}));
    assert_eq!(rules(&config, OnnxruntimeGenai).factors[0].last, 1.0);
}

#[test]
fn mistral_rs_reads_yarn_in_the_new_spelling_of_a_mistral_only() {
    let section = json!({"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "beta_fast": 32.0, "beta_slow": 1.0,
        "original_max_position_embeddings": 1024});
    let config = model("mistral", json!({"rope_parameters": section}));
    assert_eq!(about(&config, MistralRs), []);
    assert_eq!(
        rules(&yarn("mistral", json!({})), MistralRs).factors[0].last,
        1.0
    );
    assert_eq!(
        rules(&yarn("qwen2", json!({})), MistralRs).factors[0].last,
        1.0
    );
    assert!(reason(&yarn("llama", json!({})), MistralRs).is_some());
}

#[test]
fn a_mistral_of_version_4_needs_a_head_dim() {
    let mut config = yarn("mistral", json!({}));
    assert_eq!(reason(&config, Transformers4), None);
    config.as_object_mut().unwrap().remove("head_dim");
    assert!(
        reason(&config, Transformers4)
            .unwrap()
            .contains("TypeError")
    );
    assert_eq!(reason(&config, Transformers5), None);
}

#[test]
fn long_factors_are_chosen_in_many_ways() {
    let config = everywhere("llama", json!({}));
    let switch = |runtime| rules(&config, runtime).switch;
    let per_forward = |border| Switch::PerForward {
        border,
        recomputes_cache: false,
    };
    assert_eq!(switch(Transformers4), per_forward(1024));
    assert_eq!(switch(Transformers5), per_forward(1024));
    // It compares positions, so the text may be a token longer.
    assert_eq!(switch(Sglang), per_forward(1025));
    assert_eq!(switch(Vllm), Switch::AtLoad { border: 1024 });
    for runtime in [MlxLm, Exllamav3] {
        assert_eq!(switch(runtime), Switch::AlwaysLong {}, "{runtime:?}");
        let names: Vec<String> = rules(&config, runtime)
            .factors
            .into_iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(names, ["long"]);
    }
    // The converter, the builder and the other Rust runtimes have no factors for a LLaMA.
    for runtime in [LlamaCpp, OnnxruntimeGenai] {
        assert!(rules(&config, runtime).factors[0].is_plain(), "{runtime:?}");
    }
    for runtime in [MistralRs, Candle] {
        assert!(reason(&config, runtime).is_some(), "{runtime:?}");
    }
}

#[test]
fn mlx_lm_needs_the_original_context_inside_the_section() {
    assert!(
        reason(&published("llama"), MlxLm)
            .unwrap()
            .contains("KeyError")
    );
    assert_eq!(reason(&published("phi3"), MlxLm), None);
    let advice = diagnose(&published("llama")).unwrap().advice;
    assert!(
        advice
            .iter()
            .any(|advice| advice.text.contains("where mlx-lm looks"))
    );
}

#[test]
fn a_claimed_context_that_is_the_original_one_leaves_the_long_set_to_some() {
    let section = json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG, "original_max_position_embeddings": 4096,
        "factor": 1.0});
    let config = model(
        "llama",
        json!({"original_max_position_embeddings": 4096, "rope_scaling": section}),
    );
    let per_forward = Switch::PerForward {
        border: 4096,
        recomputes_cache: false,
    };
    for runtime in [Transformers4, Transformers5] {
        assert_eq!(rules(&config, runtime).switch, per_forward);
        assert_eq!(rules(&config, runtime).factors[1].last, 8.0);
    }
    assert_eq!(rules(&config, Vllm).switch, Switch::AtLoad { border: 4096 });
    assert_eq!(rules(&config, MlxLm).factors[0].last, 8.0);
    assert_eq!(rules(&config, Exllamav3).factors[0].last, 1.3);
    let text = diagnose(&config).unwrap().advice[0].to_string();
    assert!(text.contains("is not above the original context"), "{text}");
}

#[test]
fn mscales_of_longrope_are_read_by_servers_but_not_by_transformers() {
    let own = json!({"short_mscale": 1.1, "long_mscale": 1.2});
    let config = everywhere("llama", own);
    let su = AttentionScale::Su {}.value(4.0, 1024);
    for runtime in [Vllm, Sglang, Longrope] {
        assert_eq!(scales(&rules(&config, runtime)), [1.1, 1.2], "{runtime:?}");
    }
    constant(
        &[Transformers4, Transformers5, MlxLm, Exllamav3],
        &config,
        su,
    );
    let section = json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG, "short_mscale": 1.1, "long_mscale": 1.2});
    let phi3 = model(
        "phi3",
        json!({"original_max_position_embeddings": 1024, "rope_scaling": section}),
    );
    assert_eq!(scales(&rules(&phi3, OnnxruntimeGenai)), [1.1, 1.2]);
    constant(&[Transformers5, LlamaCpp, MistralRs], &phi3, su);
    assert!(reason(&phi3, Transformers4).is_some());
    // Both ways out are offered.
    let advice = diagnose(&phi3).unwrap().advice;
    let text = &advice
        .iter()
        .find(|advice| advice.text.contains("short_mscale"))
        .unwrap()
        .text;
    assert!(
        text.contains("remove them") && text.contains("write `attention_factor` 1.2"),
        "{text}"
    );
}

#[test]
fn dynamic_ntk_is_five_things() {
    let config = model(
        "llama",
        json!({"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}),
    );
    let ours = rules(&config, Longrope);
    for runtime in [Transformers4, Transformers5, MlxLm] {
        assert_eq!(rules(&config, runtime).factors, ours.factors, "{runtime:?}");
        assert_eq!(about(&config, runtime), [Topic::Switch]);
    }
    assert_eq!(rules(&config, Sglang).factors, ours.factors[1..]);
    for runtime in [Vllm, LlamaCpp, OnnxruntimeGenai] {
        assert!(rules(&config, runtime).factors[0].is_plain(), "{runtime:?}");
    }
    assert_eq!(rules(&config, Vllm).default_context, Some(16_384));
    assert!(reason(&config, Exllamav3).unwrap().contains("dynamic"));
}

#[test]
fn linear_scaling_multiplies_the_context_of_servers() {
    let config = model(
        "qwen2",
        json!({"rope_scaling": {"type": "linear", "factor": 4.0}}),
    );
    for runtime in [Vllm, Sglang] {
        assert_eq!(rules(&config, runtime).default_context, Some(16_384));
        assert_eq!(about(&config, runtime), [Topic::DefaultContext]);
    }
    for runtime in [
        Transformers4,
        Transformers5,
        LlamaCpp,
        MlxLm,
        Exllamav3,
        OnnxruntimeGenai,
    ] {
        assert_eq!(about(&config, runtime), [], "{runtime:?}");
    }
}

#[test]
fn theta_in_the_section_is_found_by_some() {
    let section = json!({"rope_type": "default", "rope_theta": 500_000.0});
    let config = model(
        "qwen2",
        json!({"rope_theta": null, "rope_parameters": section}),
    );
    for (runtime, expected) in [
        (Transformers4, 10_000.0),
        (Transformers5, 500_000.0),
        (Vllm, 500_000.0),
        (Sglang, 500_000.0),
        (LlamaCpp, 500_000.0),
        (MlxLm, 1_000_000.0),
        (Exllamav3, 500_000.0),
        (OnnxruntimeGenai, 500_000.0),
    ] {
        assert_eq!(rules(&config, runtime).theta, expected, "{runtime:?}");
    }
    for runtime in [MistralRs, Candle] {
        assert!(reason(&config, runtime).unwrap().contains("rope_theta"));
    }
}

#[test]
fn an_extended_phi3_needs_the_key_type_in_the_onnx_builder() {
    let mut config = published("phi3");
    let expected = Switch::PerForward {
        border: 4096,
        recomputes_cache: true,
    };
    assert_eq!(rules(&config, OnnxruntimeGenai).switch, expected);
    let section = config["rope_scaling"].as_object_mut().unwrap();
    let name = section.remove("type").unwrap();
    section.insert("rope_type".to_owned(), name);
    assert!(
        reason(&config, OnnxruntimeGenai)
            .unwrap()
            .contains("`type`")
    );
}
