//! Configs of models with experts.

use longrope_rope::{
    AttentionScale, ExpertKind, Experts, RopeScaling, Routing, Warning, read_hf_config,
    read_hf_rope, write_hf_rope,
};
use serde_json::{Value, json};

use crate::support::{LONG, SHORT};

/// A config with these keys beside `model_type`.
fn with(family: &str, keys: Value) -> Value {
    let mut config = json!({ "model_type": family });
    let Value::Object(keys) = keys else {
        unreachable!()
    };
    config.as_object_mut().unwrap().extend(keys);
    config
}

fn experts(family: &str, keys: Value) -> Experts {
    let config = read_hf_config(&with(family, keys)).unwrap();
    config.layout.experts.unwrap()
}

/// Numbers of experts, of those for a token, and the width of one.
fn sizes(experts: &Experts) -> [usize; 3] {
    [experts.n_experts, experts.per_token, experts.inner]
}

#[test]
fn missing_keys_have_the_defaults_of_the_classes() {
    for (family, expected) in [
        ("mixtral", [8, 2, 14_336]),
        ("qwen2_moe", [60, 4, 1408]),
        ("qwen3_moe", [128, 8, 768]),
        ("phimoe", [16, 2, 6400]),
        ("gpt_oss", [128, 4, 2880]),
    ] {
        let found = experts(family, json!({}));
        assert_eq!(sizes(&found), expected, "{family}");
        assert!(found.layers.iter().all(|sparse| *sparse), "{family}");
    }
    let weights_sum_to_one =
        |family, keys| experts(family, keys).routing == Routing::Softmax { normalized: true };
    assert!(weights_sum_to_one("mixtral", json!({})));
    assert!(!weights_sum_to_one("qwen3_moe", json!({})));
    assert!(weights_sum_to_one(
        "qwen3_moe",
        json!({"norm_topk_prob": true})
    ));
}

#[test]
fn the_number_of_experts_has_two_names_where_the_class_reads_both() {
    for family in ["mixtral", "qwen3_moe", "gpt_oss"] {
        for key in ["num_experts", "num_local_experts"] {
            assert_eq!(experts(family, json!({key: 32})).n_experts, 32, "{family}");
        }
    }
    for (family, [own, other], default) in [
        ("qwen2_moe", ["num_experts", "num_local_experts"], 60),
        ("phimoe", ["num_local_experts", "num_experts"], 16),
    ] {
        assert_eq!(experts(family, json!({own: 32})).n_experts, 32, "{family}");
        let unread = experts(family, json!({other: 32}));
        assert_eq!(unread.n_experts, default, "{family}");
    }
}

#[test]
fn layers_without_experts_are_listed_or_between_the_others() {
    let keys =
        json!({"num_hidden_layers": 6, "decoder_sparse_step": 2, "mlp_only_layers": [3, 90]});
    let layers = experts("qwen3_moe", keys).layers;
    assert_eq!(layers, [false, true, false, false, false, true]);
    let keys = json!({"num_hidden_layers": 2, "mlp_only_layers": null});
    assert_eq!(experts("qwen2_moe", keys).layers, [true, true]);
}

#[test]
fn windows_follow_the_rules_of_the_classes() {
    let windows = |family, keys| read_hf_config(&with(family, keys)).unwrap().windows;
    let on = |family| {
        windows(
            family,
            json!({"num_hidden_layers": 4, "use_sliding_window": true, "sliding_window": 64, "max_window_layers": 2}),
        )
    };
    let w = Some(64);
    assert_eq!(on("qwen2_moe"), [w, None, None, None]);
    assert_eq!(on("qwen3_moe"), [w; 4]);
    assert_eq!(on("gpt_oss"), [w, None, w, None]);
    assert_eq!(on("mixtral"), [w; 4]);
    let off = json!({"num_hidden_layers": 2, "sliding_window": 64});
    assert_eq!(windows("qwen3_moe", off), [None; 2]);
}

#[test]
fn wrong_keys_are_errors_that_name_them() {
    for (family, key, value) in [
        ("mixtral", "num_local_experts", json!(0)),
        ("mixtral", "num_local_experts", json!(1 << 20)),
        ("mixtral", "num_local_experts", json!("8")),
        ("mixtral", "num_local_experts", json!(null)),
        ("mixtral", "num_experts_per_tok", json!(9)),
        ("qwen3_moe", "num_experts_per_tok", json!(0)),
        ("qwen3_moe", "decoder_sparse_step", json!(0)),
        ("qwen3_moe", "mlp_only_layers", json!([-1])),
        ("qwen3_moe", "mlp_only_layers", json!(3)),
        ("qwen3_moe", "norm_topk_prob", json!(1)),
        ("qwen2_moe", "moe_intermediate_size", json!(0)),
        ("qwen2_moe", "shared_expert_intermediate_size", json!(0)),
        ("phimoe", "num_experts_per_tok", json!(4)),
        ("phimoe", "num_local_experts", json!(1)),
        ("phimoe", "router_jitter_noise", json!(-0.5)),
        ("gpt_oss", "swiglu_limit", json!(0)),
        ("gpt_oss", "swiglu_alpha", json!(null)),
    ] {
        let config = with(family, json!({key: value}));
        let error = read_hf_config(&config).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("`{key}` of")),
            "{config}: {error}"
        );
    }
    let many = with(
        "mixtral",
        json!({"num_hidden_layers": 16_384, "num_local_experts": 4096}),
    );
    let error = read_hf_config(&many).unwrap_err().to_string();
    assert!(error.contains("in all layers together"), "{error}");
}

#[test]
fn gpt_oss_without_a_rope_has_yarn_without_rounding() {
    let yarn = |keys| {
        let rope = read_hf_rope(&with("gpt_oss", keys)).unwrap();
        assert!(rope.warnings.is_empty(), "{:?}", rope.warnings);
        let RopeScaling::Yarn {
            scale, truncate, ..
        } = rope.spec.scaling
        else {
            panic!("YaRN")
        };
        (scale, truncate, rope.spec.theta, rope.spec.original_context)
    };
    assert_eq!(yarn(json!({})), (32.0, false, 150_000.0, 4096));
    assert_eq!(yarn(json!({"rope_theta": 5e5})), (32.0, false, 5e5, 4096));
    let own = json!({"rope_scaling": {"rope_type": "yarn", "factor": 16.0, "original_max_position_embeddings": 8192}});
    assert_eq!(yarn(own), (16.0, true, 150_000.0, 8192));
    let found = experts("gpt_oss", json!({})).kind;
    assert!(
        matches!(found, ExpertKind::Stacked { alpha, limit, .. } if (alpha, limit) == (1.702, 7.0))
    );
}

/// A small Phi-3.5-MoE with these attention scales.
fn phimoe(scales: Value) -> Value {
    let mut rope = with("longrope", scales);
    let section = rope.as_object_mut().unwrap();
    section.remove("model_type");
    section.insert("type".to_owned(), json!("longrope"));
    section.insert("short_factor".to_owned(), json!(SHORT));
    section.insert("long_factor".to_owned(), json!(LONG));
    with(
        "phimoe",
        json!({"head_dim": 8, "max_position_embeddings": 1024, "rope_theta": 10000.0,
            "original_max_position_embeddings": 256, "rope_scaling": rope}),
    )
}

#[test]
fn phimoe_has_attention_scales_of_its_own() {
    let rope = read_hf_rope(&phimoe(json!({"short_mscale": 1.1, "long_mscale": 1.3}))).unwrap();
    assert!(rope.warnings.is_empty(), "{:?}", rope.warnings);
    assert!((rope.spec.attention_scale(256) - 1.1).abs() < 1e-15);
    assert!((rope.spec.attention_scale(257) - 1.3).abs() < 1e-15);
    let error = read_hf_rope(&phimoe(json!({"short_mscale": 1.1}))).unwrap_err();
    assert!(
        error.to_string().contains("rope_scaling.long_mscale"),
        "{error}"
    );
}

#[test]
fn a_rope_for_phimoe_is_written_with_its_attention_scales() {
    let source = phimoe(json!({"short_mscale": 1.1, "long_mscale": 1.3}));
    let base = read_hf_rope(&source).unwrap().spec;
    let long_rope = |attention| {
        let RopeScaling::LongRope { sets, .. } = base.scaling.clone() else {
            unreachable!()
        };
        let mut sets = sets;
        for set in &mut sets {
            set.attention = None;
        }
        RopeScaling::LongRope { sets, attention }
    };
    let yarn = RopeScaling::Yarn {
        scale: 4.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        truncate: true,
        attention: AttentionScale::Yarn {},
    };
    for scaling in [
        base.scaling.clone(),
        long_rope(AttentionScale::Su {}),
        yarn,
        RopeScaling::Linear { scale: 4.0 },
    ] {
        let mut spec = base.clone();
        spec.scaling = scaling;
        let mut config = source.as_object().unwrap().clone();
        let warnings = write_hf_rope(&mut config, &spec, 1024).unwrap();
        let lost = Warning::ShortFactorsInTransformers {
            model_type: "phimoe",
        };
        let is_long = matches!(spec.scaling, RopeScaling::LongRope { .. });
        assert_eq!(warnings.contains(&lost), is_long, "{warnings:?}");
        for section in ["rope_scaling", "rope_parameters"] {
            for (key, context) in [("short_mscale", 256), ("long_mscale", 1024)] {
                let found = config[section][key].as_f64().unwrap();
                assert!((found - spec.attention_scale(context)).abs() < 1e-12);
            }
        }
        let again = read_hf_rope(&Value::Object(config)).unwrap();
        assert!(
            !again
                .warnings
                .iter()
                .any(|w| matches!(w, Warning::UnusedKey { .. })),
            "{:?}",
            again.warnings
        );
        for context in [256, 1024] {
            let (found, expected) = (again.spec.resolve(context), spec.resolve(context));
            assert!((found.attention_scale() - expected.attention_scale()).abs() < 1e-12);
        }
    }
}
