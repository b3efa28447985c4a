//! `config.json` as users have it: `inspect`, `plan` and `doctor` on missing, wrong and contradictory keys.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Workplace, number};

/// Configs of the golden, by index: both spellings, keys that are missing, windows, all families.
const GOLDEN: [usize; 12] = [0, 1, 2, 3, 24, 25, 26, 27, 100, 101, 102, 199];

fn remove(config: &mut Value, keys: &[&str]) {
    for key in keys {
        config.as_object_mut().unwrap().remove(*key).unwrap();
    }
}

/// A checkpoint whose config has a change.
fn changed(fixture: &str, edit: impl FnOnce(&mut Value)) -> Workplace {
    let here = Workplace::new();
    here.checkpoint(fixture, "m");
    here.edit_config("m", edit);
    here
}

#[test]
fn a_checkpoint_needs_no_key_whose_default_it_has() {
    let plain = |fixture: &str| changed(fixture, |_| {}).inspection("m");
    // LLaMA's defaults are theta 10000, silu, no biases, and heads of hidden / heads.
    let here = changed("llama-gqa-tied", |config| {
        config["rope_parameters"] = json!({"rope_type": "default"});
        remove(config, &["hidden_act", "attention_bias", "mlp_bias"]);
    });
    let (mut found, mut expected) = (here.inspection("m"), plain("llama-gqa-tied"));
    for inspection in [&mut found, &mut expected] {
        inspection["fingerprint"] = Value::Null;
    }
    assert_eq!(found, expected);
    // Mistral's window is 4096 if it is not stated, and none if it is null.
    let fixture = "../families/mistral-window";
    let window = |here: Workplace| here.inspection("m")["windows"][0].clone();
    let missing = changed(fixture, |config| remove(config, &["sliding_window"]));
    assert_eq!(window(missing), 4096);
    let null = changed(fixture, |config| config["sliding_window"] = json!(null));
    assert_eq!(window(null), Value::Null);
}

#[test]
fn keys_without_a_meaning_in_the_family_change_nothing_and_are_told_at_info_level() {
    for fixture in ["mistral-window", "qwen2-biases", "phi3-window"] {
        let fixture = format!("../families/{fixture}");
        let here = changed(&fixture, |config| {
            config["attention_bias"] = json!(true);
            config["mlp_bias"] = json!("true");
        });
        let quiet = here.run("inspect m");
        assert!(!quiet.stderr.contains("mlp_bias"), "{}", quiet.stderr);
        quiet.worked();
        let told = here.run("inspect m -v").stderr;
        assert!(
            told.contains("`attention_bias` of `m/config.json` has no meaning"),
            "{told}"
        );
    }
}

#[test]
fn a_wrong_type_is_an_error_that_names_key_value_and_type() {
    for (fixture, key, value, expected) in [
        (
            "../families/mistral-window",
            "sliding_window",
            json!("20"),
            "null or a whole number",
        ),
        (
            "../families/mistral-window",
            "sliding_window",
            json!(-5),
            "null or a whole number",
        ),
        (
            "llama-gqa-tied",
            "attention_bias",
            json!("true"),
            "true or false",
        ),
        (
            "llama-gqa-tied",
            "tie_word_embeddings",
            json!("false"),
            "true or false",
        ),
        (
            "llama-gqa-tied",
            "num_attention_heads",
            json!(4.0),
            "a whole number",
        ),
        (
            "llama-gqa-tied",
            "rope_theta",
            json!("1e4"),
            "a number above 1",
        ),
        (
            "llama-gqa-tied",
            "rms_norm_eps",
            json!(-1.0),
            "a number from 0 to 1",
        ),
        (
            "llama-gqa-tied",
            "partial_rotary_factor",
            json!(1.5),
            "a number above 0",
        ),
        (
            "llama-gqa-tied",
            "rope_scaling",
            json!("linear"),
            "an object or null",
        ),
    ] {
        let here = changed(fixture, |config| config[key] = value.clone());
        for verb in ["inspect m", "plan m --context 64 --memory 8"] {
            here.run(verb).refused_with(&format!(
                "`{key}` of the model config is {value}, expected {expected}"
            ));
        }
    }
}

#[test]
fn sizes_beyond_all_models_are_refused_at_once() {
    for (key, value) in [
        ("num_hidden_layers", 1_000_000_u64),
        ("num_hidden_layers", 1 << 32),
        ("vocab_size", 1 << 40),
        ("vocab_size", 1 << 63),
        ("hidden_size", 1 << 50),
        ("intermediate_size", u64::MAX),
        ("num_key_value_heads", 1 << 33),
        ("head_dim", 1 << 62),
        ("max_position_embeddings", 1 << 63),
    ] {
        let here = changed("llama-gqa-tied", |config| config[key] = json!(value));
        for verb in ["inspect m", "plan m --context 64 --memory 8"] {
            let started = Instant::now();
            here.run(verb)
                .refused_with(&format!("`{key}` of the model config is {value}"));
            assert!(started.elapsed() < Duration::from_secs(20), "{key} {value}");
        }
    }
}

#[test]
fn the_largest_sizes_are_compared_with_the_weights_and_planned_without_overflow() {
    let here = changed("llama-gqa-tied", |config| {
        config["num_hidden_layers"] = json!(16_384);
        config["vocab_size"] = json!(16_777_216);
        config["intermediate_size"] = json!(16_777_216);
    });
    here.run("inspect m")
        .refused_with("do not fit its config.json");
    let plan = here.run("plan m --context 64 --memory 8 --json").worked();
    let plan: Value = serde_json::from_str(&plan).unwrap();
    for row in plan["plans"].as_array().unwrap() {
        assert_eq!(row["fits"], false, "{row}");
        assert!(number(row, "/peak_bytes") > 1e13, "{row}");
    }
}

#[test]
fn configs_that_contradict_themselves_are_read_and_explained() {
    let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32});
    let default = json!({"rope_type": "default", "rope_theta": 5e5});
    let here = changed("llama-gqa-tied", |config| {
        config["rope_scaling"] = yarn;
        config["rope_parameters"] = default;
    });
    let inspection = here.inspection("m");
    assert_eq!(inspection["rope"]["scaling"]["type"], "yarn");
    assert_eq!(inspection["rope"]["theta"], 10_000.0);
    let warnings = inspection["warnings"].to_string();
    for key in ["rope_parameters.rope_type", "rope_parameters.rope_theta"] {
        assert!(warnings.contains(key), "{warnings}");
    }
    let doctor = here.run("doctor m").worked();
    assert!(doctor.contains("rope_parameters.rope_theta"), "{doctor}");

    let here = changed("llama-gqa-tied", |config| {
        config["rope_scaling"] = json!({"type": "linear", "rope_type": "dynamic", "factor": 2.0});
    });
    assert_eq!(
        here.inspection("m")["rope"]["scaling"]["type"],
        "dynamic-ntk"
    );
    here.run("doctor m").worked();
}

#[test]
fn long_factors_are_used_beyond_the_original_context_that_the_config_claims() {
    let factors = |last: f64| json!([1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, last]);
    let here = changed("llama-gqa-tied", |config| {
        config["rope_scaling"] = json!({"rope_type": "longrope", "short_factor": factors(1.5),
            "long_factor": factors(4.0), "original_max_position_embeddings": 32});
    });
    let sets = here.inspection("m")["rope"]["scaling"]["sets"].clone();
    assert_eq!(sets.as_array().unwrap().len(), 2, "{sets}");
    // Longer texts use the long factors: a change of them changes the loss, beyond 32 tokens only.
    here.tokens("tokens.json", 600);
    let loss = |context: usize| {
        let report = here.compute_json(&format!(
            "eval ppl --model m --tokens tokens.json --windows 2 --contexts {context} --json"
        ));
        number(&report, "/results/0/nll_nats")
    };
    let before = [loss(32), loss(64)];
    here.edit_config("m", |config| {
        config["rope_scaling"]["long_factor"] = factors(9.0);
    });
    let after = [loss(32), loss(64)];
    assert!((before[0] - after[0]).abs() < 1e-12);
    assert!((before[1] - after[1]).abs() > 1e-9);
    here.run("doctor m").worked();
}

#[test]
fn inspect_and_doctor_read_configs_as_transformers_does() {
    let here = Workplace::new();
    here.fixture("configs", "c");
    let golden = here.read_json("c/golden.json");
    for index in GOLDEN {
        let case = &golden["cases"][index];
        here.write("config.json", case["config"].to_string());
        here.run("doctor config.json").worked();
        fs_err::create_dir_all(here.path("m")).unwrap();
        here.write("m/config.json", case["config"].to_string());
        // There are no weights of this size, but the config is understood.
        here.run("inspect m")
            .refused_with("has no `model.safetensors`");
        let plan = here.run("plan m --context 64 --memory 8");
        plan.worked();
    }
}

#[test]
fn other_models_are_refused_by_their_name() {
    let here = Workplace::new();
    let nested = json!({"model_type": "llava", "text_config": {"model_type": "mistral"}});
    here.write("config.json", nested.to_string());
    let message = here.fails("doctor config.json");
    assert!(
        message.contains("\"llava\"") && message.contains("`text_config`"),
        "{message}"
    );
    let here = changed("llama-gqa-tied", |config| *config = nested);
    let message = here.fails("inspect m");
    assert!(
        message.contains("\"llava\"") && message.contains("`text_config`"),
        "{message}"
    );
    let here = changed("llama-gqa-tied", |config| remove(config, &["model_type"]));
    here.run("inspect m").refused_with("has no `model_type`");
    here.run("doctor m").refused_with("has no `model_type`");
}

#[test]
fn a_config_is_read_whatever_its_text_looks_like() {
    let here = Workplace::with_model();
    let text = here.read("m/config.json");
    here.write("m/config.json", format!("\u{feff}{text}"));
    here.run("inspect m").worked();
    here.run("doctor m").worked();
    let twice = text.replacen('{', "{\"vocab_size\": \"many\",", 1);
    here.write("m/config.json", twice);
    here.run("inspect m").worked();
    for text in [
        "[]",
        "7",
        "{\"rope_theta\": 1e400}",
        "{\"rope_theta\": Infinity}",
        "",
    ] {
        here.write("m/config.json", text);
        here.fails("inspect m");
        here.fails("doctor m");
    }
    here.write("m/config.json", b"{\"model_type\": \"\xff\"}");
    here.fails("inspect m");
    here.fails("doctor m");
}
