//! Defaults and errors of ropes.

use longrope_rope::{RopeScaling, RopeSpec, Warning, read_hf_rope};
use serde_json::{Value, json};

use crate::support::{LONG, SHORT, error, model, read};

#[test]
fn errors_name_the_key() {
    assert_eq!(
        error(json!({"rope_scaling": {"type": "ntk-by-eye"}})),
        "`rope_scaling.type` of the model config is \"ntk-by-eye\", expected one of `default`, `linear`, `dynamic`, \
         `yarn`, `llama3`, `longrope`"
    );
    let mut unnamed = model(json!({"rope_theta": null}));
    unnamed.as_object_mut().unwrap().remove("model_type");
    assert_eq!(
        read_hf_rope(&unnamed).unwrap_err().to_string(),
        "the model config has no `rope_theta`"
    );
    assert_eq!(
        error(json!({"rope_scaling": {"type": "linear"}})),
        "the model config has no `rope_scaling.factor`"
    );
    assert_eq!(
        error(json!({"rope_scaling": {"type": "linear", "factor": "4"}})),
        "`rope_scaling.factor` of the model config is \"4\", expected a number above 0 and up to 1048576"
    );
    assert_eq!(
        error(
            json!({"rope_scaling": {"type": "longrope", "short_factor": [1, 0, 1, 1], "long_factor": LONG}})
        ),
        "`rope_scaling.short_factor[1]` of the model config is 0.0, expected a finite number above 0"
    );
    assert_eq!(
        error(
            json!({"rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": [1, 2]}})
        ),
        "`rope_scaling.long_factor` of the model config has 2 entries, expected 4"
    );
    assert_eq!(
        error(json!({"head_dim": 7})),
        "the model config rotates 7 dimensions of a head (`head_dim` 7 × `partial_rotary_factor` 1, rounded down), \
         expected an even number of at least 2"
    );
}

#[test]
fn wrong_types_and_numbers_out_of_range_are_errors_that_name_the_key() {
    let huge = f64::MAX;
    for (entries, key) in [
        (json!({"rope_theta": "1e4"}), "rope_theta"),
        (json!({"rope_theta": 0}), "rope_theta"),
        (json!({"rope_theta": -1e4}), "rope_theta"),
        (json!({"rope_theta": huge}), "rope_theta"),
        (
            json!({"rope_theta": {"__float__": "Infinity"}}),
            "rope_theta",
        ),
        (json!({"rope_theta": true}), "rope_theta"),
        (json!({"head_dim": 16.0}), "head_dim"),
        (json!({"head_dim": 0}), "head_dim"),
        (json!({"head_dim": [16]}), "head_dim"),
        (
            json!({"max_position_embeddings": 1024.5}),
            "max_position_embeddings",
        ),
        (
            json!({"max_position_embeddings": null}),
            "max_position_embeddings",
        ),
        (
            json!({"max_position_embeddings": -1}),
            "max_position_embeddings",
        ),
        (
            json!({"max_position_embeddings": 1_u64 << 63}),
            "max_position_embeddings",
        ),
        (
            json!({"original_max_position_embeddings": "256"}),
            "original_max_position_embeddings",
        ),
        (
            json!({"original_max_position_embeddings": 1}),
            "original_max_position_embeddings",
        ),
        (
            json!({"partial_rotary_factor": 1.5}),
            "partial_rotary_factor",
        ),
        (json!({"partial_rotary_factor": 0}), "partial_rotary_factor"),
        (json!({"rope_scaling": "linear"}), "rope_scaling"),
        (json!({"rope_scaling": [1]}), "rope_scaling"),
        (json!({"rope_parameters": true}), "rope_parameters"),
        (json!({"rope_scaling": {"type": 1}}), "rope_scaling.type"),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 0}}),
            "rope_scaling.factor",
        ),
        (
            json!({"rope_scaling": {"type": "linear", "factor": huge}}),
            "rope_scaling.factor",
        ),
        (
            json!({"rope_parameters": {"rope_theta": "1e4"}}),
            "rope_parameters.rope_theta",
        ),
        (
            json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "beta_fast": -1}}),
            "rope_scaling.beta_fast",
        ),
        (
            json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "truncate": "false"}}),
            "rope_scaling.truncate",
        ),
        (
            json!({"rope_scaling": {"type": "yarn", "factor": 4.0, "attention_factor": 0}}),
            "rope_scaling.attention_factor",
        ),
        (
            json!({"rope_scaling": {"type": "longrope", "short_factor": SHORT, "long_factor": 4.0}}),
            "rope_scaling.long_factor",
        ),
    ] {
        let error = error(entries.clone());
        assert!(
            error.starts_with(&format!("`{key}` of the model config is "))
                && error.contains(", expected "),
            "{entries}: {error}"
        );
    }
}

#[test]
fn keys_with_a_default_may_be_missing() {
    for (model_type, max_context, head_dim) in [
        ("llama", 2048, 128),
        ("mistral", 131_072, 128),
        ("phi3", 4096, 96),
        ("qwen2", 32_768, 128),
    ] {
        let rope = read_hf_rope(&json!({"model_type": model_type})).unwrap();
        let plain = RopeSpec::new(head_dim, 10_000.0, max_context, RopeScaling::None {}).unwrap();
        assert_eq!((rope.spec, rope.max_context), (plain, max_context));
        assert_eq!(rope.warnings, []);
    }
}

#[test]
fn empty_sections_are_no_sections() {
    let plain = read(json!({})).spec;
    for section in [json!({}), json!(null)] {
        assert_eq!(read(json!({"rope_scaling": section})).spec, plain);
        assert_eq!(read(json!({"rope_parameters": section})).spec, plain);
        let linear = json!({"rope_type": "linear", "factor": 4.0});
        let rope = read(json!({"rope_scaling": section, "rope_parameters": linear}));
        assert_eq!(rope.spec.scaling, RopeScaling::Linear { scale: 4.0 });
        assert_eq!(rope.warnings, []);
    }
}

#[test]
fn ropes_by_layer_type_are_read_where_the_class_reads_them() {
    let part = |theta: f64| json!({"rope_type": "default", "rope_theta": theta});
    let split = |a: f64, b: f64| json!({"full_attention": part(a), "sliding_attention": part(b)});
    let qwen2 = |section: Value| json!({"model_type": "qwen2", "rope_parameters": section});
    assert_eq!(read(qwen2(split(5e5, 5e5))).spec.theta, 5e5);
    assert_eq!(
        error(qwen2(split(5e5, 1e4))),
        "`rope_parameters` of the model config is split by layer type (`full_attention`), expected one rope for all \
         layers"
    );
    let llama = read(json!({"rope_parameters": split(5e5, 1e4)}));
    assert_eq!(llama.spec.theta, 1e4);
    let unused = |key: &str| Warning::UnusedKey {
        section: "rope_parameters",
        key: key.to_owned(),
    };
    assert_eq!(
        llama.warnings,
        [unused("full_attention"), unused("sliding_attention")]
    );
}

#[test]
fn parts_of_a_split_section_are_objects() {
    for (family, section, key) in [
        (
            "gemma3_text",
            json!({"full_attention": 5, "sliding_attention": "x"}),
            "full_attention",
        ),
        (
            "olmo3",
            json!({"sliding_attention": [1]}),
            "sliding_attention",
        ),
        (
            "cohere2",
            json!({"sliding_attention": true}),
            "sliding_attention",
        ),
    ] {
        for spelling in ["rope_parameters", "rope_scaling"] {
            let config = json!({"model_type": family, spelling: section});
            let error = read_hf_rope(&config).unwrap_err().to_string();
            let expected = format!(
                "`{spelling}.{key}` of the model config is {}, expected an object or null",
                section[key]
            );
            assert_eq!(error, expected);
        }
    }
}

/// As measured with transformers 5.24: a missing part is plain, whatever is written beside the parts.
#[test]
fn a_part_that_is_missing_is_plain_and_warned_of() {
    let part = |theta: f64| json!({"rope_type": "linear", "factor": 4.0, "rope_theta": theta});
    let missing = |layer_type, theta| Warning::NoPart {
        section: "rope_parameters",
        layer_type,
        theta,
    };
    let unused = |key: &str| Warning::UnusedKey {
        section: "rope_parameters",
        key: key.to_owned(),
    };
    let linear = RopeScaling::Linear { scale: 4.0 };
    let gemma = |section: Value| {
        let config = json!({"model_type": "gemma3_text", "rope_parameters": section});
        let rope = read_hf_rope(&config).unwrap();
        let local = rope.local.unwrap();
        (rope.spec, local, rope.warnings)
    };
    let (full, local, warnings) = gemma(json!({"full_attention": part(7777.0)}));
    assert_eq!((full.theta, &full.scaling), (7777.0, &linear));
    assert_eq!((local.theta, local.scaling), (1e4, RopeScaling::None {}));
    assert_eq!(warnings, [missing("sliding_attention", 1e4)]);

    let (full, local, warnings) = gemma(json!({"sliding_attention": part(777.0)}));
    assert_eq!((full.theta, full.scaling), (1e6, RopeScaling::None {}));
    assert_eq!((local.theta, local.scaling), (777.0, linear));
    assert_eq!(warnings, [missing("full_attention", 1e6)]);

    let (full, _, warnings) = gemma(part(7777.0));
    assert_eq!((full.theta, full.scaling), (1e6, RopeScaling::None {}));
    let mut expected = vec![missing("full_attention", 1e6)];
    expected.extend(["rope_type", "factor", "rope_theta"].map(unused));
    expected.push(missing("sliding_attention", 1e4));
    assert_eq!(warnings, expected);

    let config = json!({
        "model_type": "gemma3_text", "num_hidden_layers": 1, "layer_types": ["full_attention"],
        "rope_parameters": {"full_attention": part(7777.0)},
    });
    assert_eq!(
        read_hf_rope(&config).unwrap().warnings,
        [],
        "it has no such layers"
    );
}

/// As measured with transformers 5.24.
#[test]
fn sections_of_classes_with_two_ropes_are_merged() {
    for family in ["gemma3_text", "olmo3"] {
        let rope = |more: Value| {
            let mut config = json!({"model_type": family});
            let more = more.as_object().unwrap().clone();
            config.as_object_mut().unwrap().extend(more);
            read_hf_rope(&config).unwrap()
        };
        let linear = RopeScaling::Linear { scale: 8.0 };
        let old = json!({"rope_scaling": {"type": "linear", "factor": 8.0}});
        assert_eq!(rope(old).spec.scaling, RopeScaling::None {}, "{family}");
        let named = json!({"rope_scaling": {"rope_type": "linear", "factor": 8.0}});
        assert_eq!(rope(named).spec.scaling, linear, "{family}");

        let both = rope(json!({
            "rope_scaling": {"rope_type": "linear", "factor": 8.0},
            "rope_parameters": {
                "full_attention": {"rope_type": "default", "rope_theta": 7777.0},
                "sliding_attention": {"rope_type": "default", "rope_theta": 777.0},
            },
        }));
        assert_eq!((both.spec.theta, both.spec.scaling), (7777.0, linear));
        assert_eq!(both.local.unwrap().theta, 777.0);

        let yarn = |more: Value, inner: Value| {
            let mut part = json!({"rope_type": "yarn", "factor": 4.0, "rope_theta": 1e4});
            let inner = inner.as_object().unwrap().clone();
            part.as_object_mut().unwrap().extend(inner);
            let mut section = json!({"full_attention": part});
            let beside = more.as_object().unwrap().clone();
            section.as_object_mut().unwrap().extend(beside);
            let config = json!({
                "rope_parameters": section, "max_position_embeddings": 4096,
                "original_max_position_embeddings": 512,
            });
            rope(config)
        };
        let truncates = |rope: &longrope_rope::HfRope| match rope.spec.scaling {
            RopeScaling::Yarn { truncate, .. } => truncate,
            _ => panic!("not yarn"),
        };
        let plain = yarn(json!({}), json!({}));
        assert_eq!(plain.spec.original_context, 4096, "{family}");
        assert!(truncates(&plain));
        let inside = yarn(json!({}), json!({"truncate": false}));
        assert!(truncates(&inside), "{family}");
        let unused = Warning::UnusedKey {
            section: "rope_parameters",
            key: "full_attention.truncate".to_owned(),
        };
        assert!(inside.warnings.contains(&unused), "{family}");
        assert!(!truncates(&yarn(json!({"truncate": false}), json!({}))));
        let own = yarn(json!({}), json!({"original_max_position_embeddings": 1024}));
        assert_eq!(own.spec.original_context, 1024, "{family}");
    }
}

#[test]
fn a_split_section_of_a_model_with_one_rope_is_warned_of() {
    let part = |theta: f64| json!({"rope_type": "default", "rope_theta": theta});
    let cohere = |section: Value| {
        read_hf_rope(&json!({"model_type": "cohere2", "rope_parameters": section})).unwrap()
    };
    let rope = cohere(json!({"sliding_attention": part(777.0)}));
    assert_eq!(rope.spec.theta, 777.0);
    let warning = Warning::SplitForOneRope {
        section: "rope_parameters",
        layer_type: "sliding_attention",
    };
    assert_eq!(rope.warnings, [warning]);
    // The class reads what is beside the parts if there is a type.
    let rope = cohere(
        json!({"rope_type": "default", "rope_theta": 7777.0, "sliding_attention": part(777.0)}),
    );
    assert_eq!(rope.spec.theta, 7777.0);
    assert_eq!(rope.warnings.len(), 1);
}

#[test]
fn a_theta_that_is_null_is_the_default_with_a_warning() {
    for entries in [
        json!({"rope_theta": null}),
        json!({"rope_theta": null, "rope_parameters": {"rope_theta": null}}),
    ] {
        let rope = read(entries);
        assert_eq!(rope.spec.theta, 1e4);
        assert_eq!(rope.warnings, [Warning::NullTheta { used: 1e4 }]);
    }
    let inner = json!({"rope_theta": null, "rope_parameters": {"rope_theta": 5e5}});
    assert_eq!(read(inner).warnings, []);
}
