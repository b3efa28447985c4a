//! Per-token losses against transformers, for every RoPE type, within and beyond the original window.

use longrope_model::Decoder;
use longrope_rope::read_hf_rope;
use serde::Deserialize;
use serde_json::Value;

use crate::support::{CHECKPOINTS, FAMILIES, assert_losses, device, fixture, losses, precision};

/// Another order of f32 sums changes these losses by up to 1.4e-5 nats (measured against an f64 forward pass). A wrong
/// frequency or scale changes them by 1e-2 or more.
const TOLERANCE_NATS: f32 = 1e-4;

#[derive(Deserialize)]
struct Expected {
    tokens: Vec<u32>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    n_tokens: usize,
    max_position_embeddings: Option<u64>,
    rope_parameters: Option<Value>,
    nll_nats: Vec<f32>,
}

/// The configuration of the checkpoint with its RoPE replaced by that of a case.
fn config(checkpoint: &str, case: &Case) -> Value {
    let text = fs_err::read_to_string(fixture(checkpoint).join("config.json")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    let (Some(rope), Some(max)) = (&case.rope_parameters, case.max_position_embeddings) else {
        return config;
    };
    let map = config.as_object_mut().unwrap();
    for key in ["rope_scaling", "rope_theta"] {
        map.remove(key);
    }
    map.insert("rope_parameters".into(), rope.clone());
    map.insert("max_position_embeddings".into(), max.into());
    config
}

#[test]
fn losses_are_those_of_transformers() {
    for checkpoint in CHECKPOINTS {
        check(checkpoint, 17);
    }
}

#[test]
fn losses_of_every_family_are_those_of_transformers() {
    for (checkpoint, n_cases) in FAMILIES {
        check(checkpoint, n_cases);
    }
}

fn check(checkpoint: &str, n_cases: usize) {
    let (precision, nearness) = precision();
    let decoder = Decoder::load_as(&fixture(checkpoint), device(), precision).unwrap();
    let text = fs_err::read_to_string(fixture(checkpoint).join("expected.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.cases.len(), n_cases, "{checkpoint}");
    for case in &expected.cases {
        let spec = read_hf_rope(&config(checkpoint, case)).unwrap().spec;
        let found = losses(&decoder, &spec, &expected.tokens[..case.n_tokens]);
        let what = format!("{checkpoint}, {} at {} tokens", case.name, case.n_tokens);
        assert_losses(nearness, TOLERANCE_NATS, &found, &case.nll_nats, &what);
    }
}
