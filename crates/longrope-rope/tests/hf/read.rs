//! How ropes are read.

use longrope_rope::{AttentionScale, RopeScaling, Warning, read_hf_rope};
use serde_json::json;

use crate::support::{LONG, SHORT, model, read, short_and_long};

#[test]
fn short_and_long_factors_become_two_sets() {
    let longrope = json!({"type": "su", "short_factor": SHORT, "long_factor": LONG});
    let rope = read(json!({"original_max_position_embeddings": 256, "rope_scaling": longrope}));
    assert_eq!(rope.spec, short_and_long());
    assert_eq!(rope.max_context, 1024);
    assert!(rope.warnings.is_empty());
}

#[test]
fn a_section_of_transformers_5_says_the_same() {
    let config = json!({"head_dim": 8, "max_position_embeddings": 1024, "rope_parameters": {"rope_type": "longrope",
        "rope_theta": 10000.0, "original_max_position_embeddings": 256, "short_factor": SHORT, "long_factor": LONG}});
    assert_eq!(read_hf_rope(&config).unwrap().spec, short_and_long());
}

#[test]
fn a_partial_rotary_factor_shortens_the_rotation() {
    let phi3 = json!({"model_type": "phi3", "head_dim": 128, "partial_rotary_factor": 0.75});
    assert_eq!(read(phi3).spec.rotary_dim, 96);
    assert_eq!(read(json!({"head_dim": null})).spec.rotary_dim, 16);
}

#[test]
fn a_plain_llama_rotates_whole_heads() {
    let rope = read(json!({"head_dim": 128, "partial_rotary_factor": 0.75}));
    assert_eq!(rope.spec.rotary_dim, 128);
    assert_eq!(
        rope.warnings,
        [Warning::UnusedKey {
            section: "",
            key: "partial_rotary_factor".to_owned()
        }]
    );
}

#[test]
fn the_top_level_wins_for_the_original_window() {
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512});
    let rope = read(json!({"original_max_position_embeddings": 256, "rope_scaling": yarn}));
    assert_eq!(rope.spec.original_context, 256);
}

#[test]
fn an_explicit_factor_wins_in_both_spellings() {
    let section = json!({"rope_type": "longrope", "rope_theta": 10000.0, "factor": 2.0, "short_factor": SHORT,
        "long_factor": LONG});
    let su = AttentionScale::Su {};
    for spelling in ["rope_scaling", "rope_parameters"] {
        let rope = read(json!({"original_max_position_embeddings": 256, spelling: section}));
        assert_eq!(
            rope.warnings,
            [Warning::FactorDisagrees {
                factor: 2.0,
                ratio: 4.0,
                used: 2.0
            }]
        );
        assert!((rope.spec.attention_scale(1024) - su.value(2.0, 256)).abs() < 1e-15);
    }
}

#[test]
fn mscale_keys_belong_to_one_set_each() {
    let longrope = json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG,
        "short_mscale": 1.1, "long_mscale": 1.3});
    let rope = read(json!({"original_max_position_embeddings": 256, "rope_scaling": longrope}));
    assert!((rope.spec.attention_scale(256) - 1.1).abs() < 1e-15);
    assert!((rope.spec.attention_scale(257) - 1.3).abs() < 1e-15);
    assert!(matches!(
        rope.warnings[0],
        Warning::MscaleOverrides {
            key: "short_mscale",
            ..
        }
    ));
}

#[test]
fn yarn_is_longrope_only_for_phi3() {
    let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256});
    assert!(matches!(
        read(json!({"rope_scaling": yarn})).spec.scaling,
        RopeScaling::Yarn { .. }
    ));
    let phi3 = json!({"type": "yarn", "short_factor": SHORT, "long_factor": LONG});
    let rope = read(
        json!({"model_type": "phi3", "original_max_position_embeddings": 256, "rope_scaling": phi3}),
    );
    assert_eq!(rope.spec, short_and_long());
}

#[test]
fn long_factors_are_used_beyond_the_original_context_whatever_the_config_claims() {
    for (max, original, stated) in [
        (1024, 1024, json!({})),
        (
            1024,
            1024,
            json!({"original_max_position_embeddings": 1024}),
        ),
        (256, 1024, json!({"original_max_position_embeddings": 1024})),
    ] {
        let longrope = json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG});
        let mut entries = json!({"max_position_embeddings": max, "rope_scaling": longrope});
        entries
            .as_object_mut()
            .unwrap()
            .extend(stated.as_object().unwrap().clone());
        let rope = read(entries.clone());
        assert_eq!(
            rope.warnings,
            [Warning::LongFactorsBeyondMax {
                original_context: original,
                max_context: max
            }]
        );
        let factors = |n| rope.spec.factor_set(n).unwrap().factors.as_slice();
        assert_eq!(factors(1024), SHORT);
        assert_eq!(factors(1025), LONG);
        assert_eq!(factors(100_000), LONG);
        for n in [1, 1024, 1025, 100_000] {
            assert_eq!(rope.spec.attention_scale(n), 1.0);
        }
        // Factors that are the same at every length leave nothing to warn of.
        entries["rope_scaling"]["long_factor"] = json!(SHORT);
        assert_eq!(read(entries).warnings, []);
    }
}

#[test]
fn the_factor_says_how_far_long_factors_reach_if_the_contexts_do_not() {
    for place in ["top", "section"] {
        let mut section =
            json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG, "factor": 4.0});
        let mut entries = json!({});
        let holder = if place == "top" {
            &mut entries
        } else {
            &mut section
        };
        holder["original_max_position_embeddings"] = json!(1024);
        entries["rope_scaling"] = section;
        let rope = read(entries);
        assert_eq!(rope.spec.max_context(), 4096, "{place}");
        let su = AttentionScale::Su {}.value(4.0, 1024);
        assert!((rope.spec.attention_scale(4096) - su).abs() < 1e-15);
        assert!((rope.spec.attention_scale(7) - su).abs() < 1e-15);
    }
}

#[test]
fn keys_that_change_nothing_are_reported() {
    let linear = json!({"type": "linear", "factor": 4.0, "facotr": 8.0, "beta_fast": null});
    let unused = |key: &str| Warning::UnusedKey {
        section: "rope_scaling",
        key: key.to_owned(),
    };
    assert_eq!(
        read(json!({"rope_scaling": linear})).warnings,
        [unused("facotr")]
    );
    let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256, "mscale": 0.7});
    assert_eq!(
        read(json!({"rope_scaling": yarn})).warnings,
        [unused("mscale")]
    );
}

fn conflict(used: [&str; 2], ignored: [&str; 2]) -> Warning {
    let [used, used_value] = used.map(str::to_owned);
    let [ignored, ignored_value] = ignored.map(str::to_owned);
    Warning::Conflict {
        used,
        used_value,
        ignored,
        ignored_value,
    }
}

#[test]
fn of_two_spellings_the_older_one_is_used_and_the_conflict_is_told() {
    let section = |factor: f64| json!({"rope_type": "linear", "factor": factor});
    let both = |a: f64, b: f64| json!({"rope_scaling": section(a), "rope_parameters": section(b)});
    assert_eq!(read(both(4.0, 4.0)).warnings, []);
    let rope = read(both(4.0, 8.0));
    assert_eq!(rope.spec.scaling, RopeScaling::Linear { scale: 4.0 });
    assert_eq!(
        rope.warnings,
        [conflict(
            ["rope_scaling.factor", "4.0"],
            ["rope_parameters.factor", "8.0"]
        )]
    );
    assert_eq!(
        rope.warnings[0].to_string(),
        "`rope_scaling.factor` (4.0) is used and not `rope_parameters.factor` (8.0), as in transformers 5.24"
    );
}

#[test]
fn yarn_that_was_added_to_a_file_of_transformers_5_is_used_with_the_theta_beside_it() {
    let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 256});
    let default = json!({"rope_type": "default", "rope_theta": 5e5});
    let mut config = model(json!({"rope_scaling": yarn, "rope_parameters": default}));
    let types = conflict(
        ["rope_scaling.rope_type", "yarn"],
        ["rope_parameters.rope_type", "default"],
    );
    for top in [true, false] {
        if !top {
            config.as_object_mut().unwrap().remove("rope_theta");
        }
        let rope = read_hf_rope(&config).unwrap();
        assert!(matches!(rope.spec.scaling, RopeScaling::Yarn { .. }));
        // 10000 is the top level's number, and then the default of the class.
        assert_eq!(rope.spec.theta, 1e4);
        let theta = conflict(
            ["rope_scaling.rope_theta", "10000"],
            ["rope_parameters.rope_theta", "500000"],
        );
        assert_eq!(rope.warnings, [theta, types.clone()]);
    }
}

#[test]
fn keys_that_disagree_are_resolved_and_told() {
    let rope = read(json!({"rope_parameters": {"rope_type": "default", "rope_theta": 5e5}}));
    assert_eq!(rope.spec.theta, 5e5);
    assert_eq!(
        rope.warnings,
        [conflict(
            ["rope_parameters.rope_theta", "500000"],
            ["rope_theta", "10000"]
        )]
    );
    let rope =
        read(json!({"rope_scaling": {"type": "linear", "rope_type": "dynamic", "factor": 4.0}}));
    assert_eq!(rope.spec.scaling, RopeScaling::DynamicNtk { scale: 4.0 });
    assert_eq!(
        rope.warnings,
        [conflict(
            ["rope_scaling.rope_type", "dynamic"],
            ["rope_scaling.type", "linear"]
        )]
    );
    let yarn = json!({"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 512});
    let rope = read(json!({"original_max_position_embeddings": 256, "rope_scaling": yarn}));
    assert_eq!(
        rope.warnings[0],
        conflict(
            ["original_max_position_embeddings", "256"],
            ["rope_scaling.original_max_position_embeddings", "512"]
        )
    );
}

#[test]
fn a_section_that_is_not_used_may_be_wrong() {
    let rope = read(json!({
        "rope_scaling": {"type": "linear", "factor": 4.0},
        "rope_parameters": {"rope_type": "linear"},
    }));
    assert_eq!(rope.spec.scaling, RopeScaling::Linear { scale: 4.0 });
    assert!(
        matches!(&rope.warnings[..], [Warning::Conflict { ignored, .. }] if ignored == "rope_parameters")
    );
}

#[test]
fn the_original_context_of_phi3_is_at_the_top_level_even_if_it_is_the_default() {
    let section = json!({"type": "longrope", "short_factor": SHORT, "long_factor": LONG,
        "original_max_position_embeddings": 512});
    let entries =
        json!({"model_type": "phi3", "max_position_embeddings": 8192, "rope_scaling": section});
    let rope = read(entries);
    assert_eq!(rope.spec.original_context, 4096);
    assert_eq!(
        rope.warnings,
        [conflict(
            ["original_max_position_embeddings", "4096 (the default)"],
            ["rope_scaling.original_max_position_embeddings", "512"],
        )]
    );
}
