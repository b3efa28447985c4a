//! `config.json` against what transformers 5.24 makes of it; `tests/fixtures/configs/generate.py` made the numbers.

use longrope_rope::{AttentionScale, HfConfig, RopeScaling, RopeSpec, read_hf_config};
use serde_json::{Value, json};

/// Logarithms and roots may differ in the last digit.
const ROUNDING: f64 = 1e-12;

fn golden() -> Vec<(Value, Value)> {
    let text = include_str!("../../../../tests/fixtures/configs/golden.json");
    let golden: Value = serde_json::from_str(text).unwrap();
    let cases = golden["cases"].as_array().unwrap();
    let case = |case: &Value| (case["config"].clone(), case["resolved"].clone());
    cases.iter().map(case).collect()
}

/// The sizes and flags as the golden names them.
fn sizes(config: &HfConfig) -> Value {
    json!({
        "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size,
        "intermediate_size": config.intermediate_size,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "rotary_dim": config.rope.spec.rotary_dim,
        "rms_norm_eps": config.norm_eps,
        "max_position_embeddings": config.rope.max_context,
        "tie_word_embeddings": config.tied_embeddings,
        "qkv_bias": config.layout.biases.query_key_value,
        "output_bias": config.layout.biases.output,
        "mlp_bias": config.layout.biases.mlp,
        "bos_token_id": config.bos_token,
        "eos_token_id": config.eos_tokens,
        "windows": config.windows,
    })
}

/// What the RoPE of `config` says differently than `rope_parameters` of transformers.
fn rope_differences(config: &HfConfig, theirs: &Value) -> Vec<String> {
    let spec = &config.rope.spec;
    let mut differences = Vec::new();
    let mut number = |what: &str, ours: f64, theirs: f64| {
        if (ours - theirs).abs() > ROUNDING * theirs.abs() {
            differences.push(format!("{what}: {ours} and {theirs}"));
        }
    };
    let given = |key: &str| theirs[key].as_f64();
    number("theta", spec.theta, given("rope_theta").unwrap());
    let (max, original) = (config.rope.max_context as f64, spec.original_context as f64);
    if let Some(theirs) = given("original_max_position_embeddings")
        && !matches!(
            &spec.scaling,
            RopeScaling::None {} | RopeScaling::Linear { .. } | RopeScaling::DynamicNtk { .. }
        )
    {
        number("original context", original, theirs);
    }
    let growth = given("factor").unwrap_or(max / original);
    let not_zero = |key: &str| given(key).filter(|number| *number != 0.0);
    let rope_type = match &spec.scaling {
        RopeScaling::None {} => "default",
        RopeScaling::Linear { scale } => {
            number("factor", *scale, growth);
            "linear"
        }
        RopeScaling::DynamicNtk { scale } => {
            number("factor", *scale, growth);
            number("original context", original, max);
            "dynamic"
        }
        RopeScaling::Yarn {
            scale,
            beta_fast,
            beta_slow,
            truncate,
            attention,
        } => {
            number("factor", *scale, growth);
            number(
                "beta_fast",
                *beta_fast,
                not_zero("beta_fast").unwrap_or(32.0),
            );
            number(
                "beta_slow",
                *beta_slow,
                not_zero("beta_slow").unwrap_or(1.0),
            );
            let truncates = theirs.get("truncate").is_none_or(|it| *it == true);
            number(
                "truncate",
                f64::from(u8::from(*truncate)),
                f64::from(u8::from(truncates)),
            );
            let grown = 0.1 * growth.max(1.0).ln();
            let default = match (not_zero("mscale"), not_zero("mscale_all_dim")) {
                (Some(one), Some(all)) => (1.0 + one * grown) / (1.0 + all * grown),
                _ => 1.0 + grown,
            };
            let expected = given("attention_factor").unwrap_or(default);
            number(
                "attention",
                attention.value(*scale, spec.original_context),
                expected,
            );
            "yarn"
        }
        RopeScaling::Llama3 {
            scale,
            low_freq_factor,
            high_freq_factor,
        } => {
            number("factor", *scale, growth);
            number("low", *low_freq_factor, given("low_freq_factor").unwrap());
            number(
                "high",
                *high_freq_factor,
                given("high_freq_factor").unwrap(),
            );
            "llama3"
        }
        RopeScaling::LongRope { .. } => {
            for (key, n) in [
                ("short_factor", spec.original_context),
                ("long_factor", usize::MAX),
            ] {
                number(key, wrong_factors(spec, n, &theirs[key]), 0.0);
                let su = AttentionScale::Su {}.value(growth, spec.original_context);
                let expected = given("attention_factor").unwrap_or(su);
                number("attention", spec.attention_scale(n), expected);
            }
            "longrope"
        }
        other => panic!("{other:?} is not in any config"),
    };
    if theirs["rope_type"] != rope_type {
        differences.push(format!("type: {rope_type} and {}", theirs["rope_type"]));
    }
    differences
}

/// Number of factors for `n` tokens that differ.
fn wrong_factors(spec: &RopeSpec, n: usize, theirs: &Value) -> f64 {
    let theirs: Vec<f64> = serde_json::from_value(theirs.clone()).unwrap();
    let ours = spec.factor_set(n).unwrap().factors.as_slice();
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(&theirs).filter(|(a, b)| a != b).count() as f64
}

#[test]
fn two_hundred_configs_are_resolved_as_transformers_does() {
    let cases = golden();
    assert_eq!(cases.len(), 200);
    let mut wrong = Vec::new();
    for (config, mut theirs) in cases {
        let rope = theirs.as_object_mut().unwrap().remove("rope").unwrap();
        match read_hf_config(&config) {
            Ok(ours) => {
                let found = sizes(&ours);
                for (key, value) in theirs.as_object().unwrap() {
                    if found[key] != *value {
                        wrong.push(format!("{key}: {} and {value}\n  {config}", found[key]));
                    }
                }
                let differences = rope_differences(&ours, &rope);
                wrong.extend(
                    differences
                        .iter()
                        .map(|what| format!("{what}\n  {config}\n  {rope}")),
                );
            }
            Err(error) => wrong.push(format!("{error}\n  {config}\n  {theirs} {rope}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}
