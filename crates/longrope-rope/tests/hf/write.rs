//! Writing, and that reading undoes writing.

use longrope_rope::{
    AnglePrecision, AttentionScale, Error, FactorSet, HfRope, Method, RopeScaling, RopeSpec,
    Warning, read_hf_rope, remove_mscales, write_hf_rope,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::support::{LONG, SHORT, long_rope, model, read, set, short_and_long};

/// What is read after writing `spec`, first from the spelling of transformers 4, then from that of 5.
fn round_trip(
    config: Value,
    spec: &RopeSpec,
    target_context: usize,
) -> (Vec<Warning>, [HfRope; 2]) {
    let Value::Object(mut config) = config else {
        unreachable!()
    };
    let warnings = write_hf_rope(&mut config, spec, target_context).unwrap();
    let both = read_hf_rope(&Value::Object(config.clone())).unwrap();
    let without = |keys: &[&str]| {
        let mut config: Map<String, Value> = config.clone();
        config.retain(|key, _| !keys.contains(&key.as_str()));
        read_hf_rope(&Value::Object(config)).unwrap()
    };
    let spellings = [
        without(&["rope_parameters"]),
        without(&["rope_scaling", "rope_theta", "partial_rotary_factor"]),
    ];
    for spelling in &spellings {
        assert_eq!(spelling.spec, both.spec);
    }
    (warnings, spellings)
}

#[test]
fn a_config_whose_long_factors_lie_beyond_its_claim_is_written_and_read_again() {
    let longrope = json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG});
    let spec = read(json!({"rope_scaling": longrope})).spec;
    let (_, [v4, v5]) = round_trip(model(json!({})), &spec, 4096);
    for rope in [v4, v5] {
        for n in [1024, 1025, 4096] {
            assert_eq!(rope.spec.resolve(n), spec.resolve(n));
        }
    }
}

#[test]
fn other_keys_for_the_length_of_a_context_are_raised() {
    let longer = 1 << 20;
    let more = json!({
        "max_sequence_length": 256, "seq_length": longer, "model_max_length": null,
        "max_seq_len": 256.5,
    });
    let Value::Object(mut config) = model(more) else {
        unreachable!()
    };
    let spec = short_and_long();
    write_hf_rope(&mut config, &spec, 1024).unwrap();
    assert_eq!(config["max_sequence_length"], 1024);
    assert_eq!(config["seq_length"], longer);
    assert_eq!(config["model_max_length"], Value::Null);
    assert_eq!(config["max_seq_len"], 256.5);
    assert_eq!(config.get("n_positions"), None);
}

#[test]
fn the_written_config_is_exactly_this() {
    let mut config = Map::new();
    config.insert("head_dim".to_owned(), json!(8));
    let warnings = write_hf_rope(&mut config, &short_and_long(), 1024).unwrap();
    assert!(warnings.is_empty());
    let attention = AttentionScale::Su {}.value(4.0, 256);
    assert_eq!(
        Value::Object(config),
        json!({
            "head_dim": 8,
            "max_position_embeddings": 1024,
            "original_max_position_embeddings": 256,
            "rope_theta": 10000.0,
            "rope_scaling": {"type": "longrope", "rope_type": "longrope", "short_factor": SHORT, "long_factor": LONG,
                "factor": 4.0, "original_max_position_embeddings": 256, "attention_factor": attention},
            "rope_parameters": {"rope_type": "longrope", "rope_theta": 10000.0, "short_factor": SHORT,
                "long_factor": LONG, "factor": 4.0, "original_max_position_embeddings": 256, "attention_factor": attention},
        })
    );
}

#[test]
fn attention_scales_can_be_left_to_the_key_that_transformers_reads() {
    let spec = long_rope(
        vec![set(256, &SHORT), set(1024, &LONG)],
        AttentionScale::Constant { value: 1.5 },
    );
    let keys = ["short_mscale", "long_mscale"];
    for outer in [json!({}), json!({"model_type": "mistral3"})] {
        let Value::Object(text) = model(json!({})) else {
            unreachable!()
        };
        let Value::Object(mut config) = outer else {
            unreachable!()
        };
        if config.is_empty() {
            config = text;
        } else {
            config.insert("text_config".to_owned(), Value::Object(text));
        }
        write_hf_rope(&mut config, &spec, 1024).unwrap();
        let before = Value::Object(config.clone()).to_string();
        assert!(keys.iter().all(|key| before.contains(key)), "{before}");
        remove_mscales(&mut config);
        let after = Value::Object(config).to_string();
        assert!(!keys.iter().any(|key| after.contains(key)), "{after}");
        assert!(after.contains("\"attention_factor\":1.5"), "{after}");
    }
}

#[test]
fn a_plain_config_loses_its_old_scaling() {
    let Value::Object(mut config) = model(
        json!({"rope_scaling": {"type": "linear", "factor": 4.0}, "original_max_position_embeddings": 64}),
    ) else {
        unreachable!()
    };
    let plain = RopeSpec::new(8, 5e5, 256, RopeScaling::None {}).unwrap();
    write_hf_rope(&mut config, &plain, 256).unwrap();
    assert_eq!(config["rope_scaling"], Value::Null);
    assert_eq!(
        config["rope_parameters"],
        json!({"rope_type": "default", "rope_theta": 5e5})
    );
    assert_eq!(read_hf_rope(&Value::Object(config)).unwrap().spec, plain);
}

#[test]
fn what_a_config_cannot_say_is_reported() {
    let own = FactorSet {
        attention: Some(AttentionScale::None {}),
        ..set(512, &SHORT)
    };
    let with_start = FactorSet {
        start_tokens: 8,
        ..set(4096, &LONG)
    };
    let spec = long_rope(
        vec![own, set(1024, &LONG), with_start],
        AttentionScale::Su {},
    );
    let (warnings, [rope, _]) = round_trip(model(json!({})), &spec, 4096);
    let long = AttentionScale::Su {}.value(16.0, 256);
    assert_eq!(
        warnings,
        [
            Warning::SetsDropped {
                max_contexts: vec![1024]
            },
            Warning::StartTokensDropped { start_tokens: 8 },
            Warning::BorderMoved { from: 512, to: 256 },
            Warning::SetAttentionDropped { short: 1.0, long },
        ]
    );
    assert_eq!(rope.spec.attention_scale(256), 1.0);
    assert!((rope.spec.attention_scale(4096) - long).abs() < 1e-15);
}

#[test]
fn a_single_set_leaves_short_texts_unscaled() {
    let spec = long_rope(vec![set(1024, &LONG)], AttentionScale::Su {});
    let (warnings, [rope, _]) = round_trip(model(json!({})), &spec, 1024);
    assert_eq!(
        warnings,
        [Warning::ShortFactorsAreOnes {
            original_context: 256
        }]
    );
    assert_eq!(
        rope.spec.resolve(256).inv_freq(),
        spec.plain().resolve(256).inv_freq()
    );
    assert_eq!(rope.spec.resolve(257), spec.resolve(257));
}

#[test]
fn ntk_aware_becomes_a_larger_theta() {
    let spec = RopeSpec::new(8, 10_000.0, 256, RopeScaling::NtkAware { scale: 4.0 }).unwrap();
    let (warnings, [rope, _]) = round_trip(model(json!({})), &spec, 1024);
    assert!(matches!(warnings[..], [Warning::WrittenAsTheta { .. }]));
    assert_eq!(rope.spec.resolve(1000), spec.resolve(1000));
}

#[test]
fn a_larger_base_is_written_as_rope_theta() {
    let scaling = RopeScaling::Theta { theta: 5e6 };
    let spec = RopeSpec::new(8, 10_000.0, 256, scaling).unwrap();
    let (warnings, ropes) = round_trip(model(json!({})), &spec, 1024);
    assert_eq!(warnings, []);
    for rope in ropes {
        let plain = RopeSpec::new(8, 5e6, 256, RopeScaling::None {}).unwrap();
        assert_eq!(rope.spec, plain);
        assert_eq!(rope.spec.resolve(1000), spec.resolve(1000));
    }
}

#[test]
fn no_rotation_becomes_factors_that_leave_no_angle_in_f32() {
    let drope = |sharpening| {
        let scaling = RopeScaling::Drope { sharpening };
        RopeSpec::new(8, 1e7, 256, scaling).unwrap()
    };
    for model_type in ["llama", "qwen3", "phi3"] {
        let config = || model(json!({"model_type": model_type}));
        let (warnings, ropes) = round_trip(config(), &drope(0.0), 1024);
        assert!(warnings.contains(&Warning::WrittenAsHugeFactors { factor: 1e25 }));
        for rope in ropes {
            for total in [256, 257, 1024] {
                let written = rope.spec.resolve_with(total, AnglePrecision::CompatF32);
                let angles = written.angles(9_999_990..10_000_000);
                assert!(angles.cos.iter().all(|cos| *cos == 1.0));
                assert!(angles.sin.iter().all(|sin| sin.abs() < 1e-17));
            }
        }
    }
    // Scores grow as at the context that is written.
    let config = model(json!({}));
    let (warnings, [rope, _]) = round_trip(config, &drope(0.5), 1024);
    let fixed = Warning::SharpeningFixed {
        target_context: 1024,
    };
    assert!(warnings.contains(&fixed));
    for total in [1, 1024] {
        let scale = rope.spec.attention_scale(total);
        assert!((scale - drope(0.5).attention_scale(1024)).abs() < 1e-12);
    }
}

#[test]
fn mrrope_is_written_as_equal_short_and_long_factors() {
    let base = short_and_long().plain();
    let spec = Method::MrRopePro.spec(&base, 1024).unwrap();
    let (warnings, [rope, _]) = round_trip(model(json!({})), &spec, 1024);
    assert_eq!(warnings, []);
    for total in [100, 256, 257, 1024] {
        let (found, expected) = (rope.spec.resolve(total), spec.resolve(total));
        assert_eq!(found.inv_freq(), expected.inv_freq());
        assert!((found.attention_scale() - expected.attention_scale()).abs() < 1e-12);
    }
}

#[test]
fn no_config_can_group_positions() {
    let scaling = RopeScaling::SelfExtend {
        group: 8,
        window: 64,
    };
    let spec = RopeSpec::new(8, 10_000.0, 256, scaling).unwrap();
    for model_type in ["llama", "phi3"] {
        let Value::Object(mut config) = model(json!({"model_type": model_type})) else {
            unreachable!()
        };
        let before = config.clone();
        let error = write_hf_rope(&mut config, &spec, 1024).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a `self-extend` scaling cannot be written into a config.json, which has no key for it"
        );
        assert_eq!(config, before);
    }
}

#[test]
fn phi3_gets_three_keys_or_a_warning() {
    let phi3 = || model(json!({"model_type": "phi3"}));
    let Value::Object(mut config) = phi3() else {
        unreachable!()
    };
    assert!(
        write_hf_rope(&mut config, &short_and_long(), 1024)
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        config["rope_scaling"],
        json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG})
    );
    let (_, [v4, v5]) = round_trip(phi3(), &short_and_long(), 1024);
    assert_eq!((v4.spec, v5.spec), (short_and_long(), short_and_long()));

    let yarn = RopeScaling::Yarn {
        scale: 4.0,
        beta_fast: 32.0,
        beta_slow: 1.0,
        truncate: true,
        attention: AttentionScale::Yarn {},
    };
    let yarn = RopeSpec {
        scaling: yarn,
        ..short_and_long().plain()
    };
    let (warnings, [rope, _]) = round_trip(phi3(), &yarn, 1024);
    assert_eq!(
        warnings,
        [
            Warning::WrittenAsLongRope { scaling: "yarn" },
            Warning::NotForTransformers4 {}
        ]
    );
    for total_tokens in [100, 1000] {
        let (found, expected) = (rope.spec.resolve(total_tokens), yarn.resolve(total_tokens));
        for (found, expected) in found.inv_freq().iter().zip(expected.inv_freq()) {
            assert!((found / expected - 1.0).abs() < 1e-14);
        }
        assert_eq!(found.attention_scale(), expected.attention_scale());
    }
    let dynamic = RopeSpec {
        scaling: RopeScaling::DynamicNtk { scale: 4.0 },
        ..yarn
    };
    let Value::Object(mut config) = phi3() else {
        unreachable!()
    };
    assert!(matches!(
        write_hf_rope(&mut config, &dynamic, 1024),
        Err(Error::NotWritable { .. })
    ));
}

#[test]
fn partial_rotation_is_written_such_that_it_is_read_again() {
    for (head_dim, rotary_dim) in [
        (128, 96),
        (80, 32),
        (96, 58),
        (100, 58),
        (128, 128),
        (92, 46),
    ] {
        let spec = RopeSpec::new(rotary_dim, 10_000.0, 1024, RopeScaling::None {}).unwrap();
        let phi3 = json!({"model_type": "phi3", "head_dim": head_dim});
        let (_, [v4, v5]) = round_trip(model(phi3), &spec, 1024);
        assert_eq!(
            (v4.spec.rotary_dim, v5.spec.rotary_dim),
            (rotary_dim, rotary_dim)
        );
    }
    let Value::Object(mut config) = model(json!({})) else {
        unreachable!()
    };
    let spec = RopeSpec::new(16, 10_000.0, 1024, RopeScaling::None {}).unwrap();
    assert!(matches!(
        write_hf_rope(&mut config, &spec, 1024),
        Err(Error::Disagree { .. })
    ));
}

fn attention() -> impl Strategy<Value = AttentionScale> {
    prop_oneof![
        Just(AttentionScale::None {}),
        Just(AttentionScale::Su {}),
        Just(AttentionScale::Yarn {}),
        (0.5..2.0_f64).prop_map(|value| AttentionScale::Constant { value }),
    ]
}

fn scalings() -> impl Strategy<Value = RopeScaling> {
    let factors = || prop::collection::vec(0.5..16.0_f64, 4).prop_map(|factors| set(256, &factors));
    prop_oneof![
        Just(RopeScaling::None {}),
        Just(RopeScaling::Linear { scale: 4.0 }),
        Just(RopeScaling::NtkAware { scale: 4.0 }),
        Just(RopeScaling::DynamicNtk { scale: 4.0 }),
        (1.5..8.0_f64, any::<bool>(), attention()).prop_map(|(beta_slow, truncate, attention)| {
            RopeScaling::Yarn {
                scale: 4.0,
                beta_fast: 4.0 * beta_slow,
                beta_slow,
                truncate,
                attention,
            }
        }),
        (0.5..2.0_f64).prop_map(|low_freq_factor| RopeScaling::Llama3 {
            scale: 4.0,
            low_freq_factor,
            high_freq_factor: 4.0,
        }),
        (factors(), factors(), attention()).prop_map(|(short, long, attention)| {
            RopeScaling::LongRope {
                sets: vec![
                    short,
                    FactorSet {
                        max_context: 1024,
                        ..long
                    },
                ],
                attention,
            }
        }),
    ]
}

proptest! {
    #[test]
    fn a_written_rope_means_the_same_in_both_spellings(scaling in scalings(), theta in 1e3..1e7_f64) {
        let spec = RopeSpec::new(8, theta, 256, scaling).unwrap();
        let mut config = model(json!({}));
        config.as_object_mut().unwrap().remove("rope_theta");
        let (_, spellings) = round_trip(config, &spec, 1024);
        for rope in spellings {
            for total_tokens in [1, 256, 257, 700, 1024] {
                let (found, expected) = (rope.spec.resolve(total_tokens), spec.resolve(total_tokens));
                prop_assert_eq!(found.inv_freq(), expected.inv_freq());
                let off = found.attention_scale() / expected.attention_scale() - 1.0;
                prop_assert!(off.abs() < 1e-12);
            }
        }
    }
}
