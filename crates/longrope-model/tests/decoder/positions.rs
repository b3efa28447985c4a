//! Positions that skip: losses and gradients against transformers, and against positions without gaps.
//!
//! `tests/fixtures/positions/generate.py` made the numbers.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::DType;
use longrope_model::{
    Decoder, LossGradients, Recompute, Rotary, Teacher, TokenBatch, Trained, TrainingBatch,
};
use serde::Deserialize;

use crate::support::{device, load};

/// Both sides compute in f64, but tables of angles are f32 here.
const TOLERANCE_NATS: f64 = 1e-5;
/// Relative to the largest element of a gradient.
const TOLERANCE_GRADIENT: f64 = 1e-5;

#[derive(Deserialize)]
struct Golden {
    tokens: Vec<Vec<u32>>,
    positions: Vec<Vec<usize>>,
    families: BTreeMap<String, Numbers>,
}

#[derive(Deserialize)]
struct Numbers {
    losses: Vec<Vec<f64>>,
    gradients: BTreeMap<String, Vec<f64>>,
    /// From the hidden states at positions without gaps, summed over tokens and hidden states.
    distance: f64,
    distance_gradients: BTreeMap<String, Vec<f64>>,
}

fn golden() -> Golden {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/positions/golden.json");
    serde_json::from_str(&fs_err::read_to_string(path).unwrap()).unwrap()
}

fn decoder(name: &str) -> Decoder {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/decoders");
    Decoder::load(&root.join(name), device()).unwrap()
}

fn rotary(decoder: &Decoder, positions: &[Vec<usize>]) -> Rotary {
    let n_tokens = positions.iter().flatten().max().unwrap() + 1;
    let rope = decoder.config().rope.resolve(n_tokens);
    decoder.rotaries().at(&rope, positions.to_vec())
}

fn gradients(
    decoder: &Decoder,
    tokens: &[Vec<u32>],
    rotary: &Rotary,
    recompute: Recompute,
) -> LossGradients {
    let batch = TrainingBatch {
        tokens: tokens.to_vec(),
        ..TrainingBatch::default()
    };
    let result = decoder.loss_gradients(&batch, rotary, Trained::All, recompute);
    result.unwrap()
}

fn of(result: &LossGradients, name: &str) -> Vec<f64> {
    let mut named = result.gradients.iter();
    let (_, values) = named.find(|(found, _)| *found == name).unwrap();
    values.clone().into_data().iter::<f64>().collect()
}

#[test]
fn losses_and_gradients_are_those_of_transformers() {
    let golden = golden();
    for (name, expected) in &golden.families {
        // NdArray computes in f64 as well as flex; GPUs may not, and are checked by the tests in f32.
        let decoder = decoder(name).cast(DType::F64);
        let rotary = rotary(&decoder, &golden.positions);
        for recompute in [Recompute::Layers, Recompute::Nothing] {
            let found = gradients(&decoder, &golden.tokens, &rotary, recompute);
            let sum: f64 = expected.losses.iter().flatten().sum();
            assert!(
                (found.loss - sum).abs() < TOLERANCE_NATS * 78.0,
                "{name}: {} is not {sum}",
                found.loss
            );
            assert_gradients(name, &found, &expected.gradients);
        }
    }
}

fn assert_gradients(name: &str, found: &LossGradients, expected: &BTreeMap<String, Vec<f64>>) {
    for (parameter, expected) in expected {
        let largest = expected.iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        for (x, y) in of(found, parameter).iter().zip(expected) {
            assert!(
                (x - y).abs() < TOLERANCE_GRADIENT * largest,
                "{name}, {parameter}: {x} is not {y}"
            );
        }
    }
}

#[test]
fn distances_between_hidden_states_are_those_of_transformers() {
    let golden = golden();
    for (name, expected) in &golden.families {
        let decoder = decoder(name).cast(DType::F64);
        let skipping = rotary(&decoder, &golden.positions);
        let n_tokens = golden.tokens[0].len();
        let real: Vec<usize> = (0..n_tokens).collect();
        let teacher = Teacher {
            rotary: rotary(&decoder, &[real.clone(), real]),
            decoder: decoder.clone(),
            layers: vec![1, 2],
            weight: 1.0,
        };
        let batch = TrainingBatch {
            tokens: golden.tokens.clone(),
            ..TrainingBatch::default()
        };
        for recompute in [Recompute::Layers, Recompute::Nothing] {
            let (trained, skipping) = (Trained::All, &skipping);
            let found = decoder
                .distillation_gradients(&batch, &teacher, skipping, trained, recompute)
                .unwrap();
            let (distance, n_states) = (expected.distance, 2.0 * 80.0);
            assert!(
                (found.loss - distance).abs() < TOLERANCE_NATS * n_states,
                "{name}: {} is not {distance}",
                found.loss
            );
            assert_gradients(name, &found, &expected.distance_gradients);
        }
    }
}

#[test]
fn every_token_has_the_loss_of_transformers() {
    let golden = golden();
    for (name, expected) in &golden.families {
        let decoder = decoder(name);
        let sequences: Vec<&[u32]> = golden.tokens.iter().map(Vec::as_slice).collect();
        let scored = TokenBatch {
            sequences: &sequences,
            score_from: 1,
        };
        let found = decoder.token_nll(scored, &rotary(&decoder, &golden.positions));
        for (found, expected) in found.unwrap().iter().zip(&expected.losses) {
            for (token, (x, y)) in found.iter().zip(expected).enumerate() {
                // f32 against f64, as for the families.
                assert!((f64::from(*x) - y).abs() < 1e-4, "{name}, token {token}");
            }
        }
    }
}

#[test]
fn positions_without_gaps_change_nothing() {
    for name in ["llama-gqa-tied", "mistral-window"] {
        let decoder = load(name);
        let tokens = golden().tokens;
        let n_tokens = tokens[0].len();
        let whole: Vec<usize> = (0..n_tokens).collect();
        let rope = decoder.config().rope.resolve(n_tokens);
        let plain = decoder.rotary(&rope, n_tokens);
        let listed = decoder.rotaries().at(&rope, vec![whole.clone(), whole]);
        let run = |rotary: &Rotary| gradients(&decoder, &tokens, rotary, Recompute::Layers);
        let (plain, listed) = (run(&plain), run(&listed));
        assert_eq!(plain.loss.to_bits(), listed.loss.to_bits(), "{name}");
        for (parameter, _) in plain.gradients.iter() {
            assert_eq!(of(&plain, parameter), of(&listed, parameter), "{parameter}");
        }
    }
}

#[test]
fn layers_with_a_window_see_no_gaps() {
    let golden = golden();
    let decoder = load("mistral-window");
    assert!(decoder.config().windows.iter().all(Option::is_some));
    let n_tokens = golden.tokens[0].len();
    // The same frequencies for both: this model has a plain RoPE.
    let plain = decoder.rotary(&decoder.config().rope.resolve(n_tokens), n_tokens);
    let run = |rotary: &Rotary| gradients(&decoder, &golden.tokens, rotary, Recompute::Nothing);
    let skipped = run(&rotary(&decoder, &golden.positions));
    assert_eq!(skipped.loss.to_bits(), run(&plain).loss.to_bits());
    // In a model without windows, gaps do matter.
    let open = load("llama-gqa-tied");
    let plain = open.rotary(&open.config().rope.resolve(n_tokens), n_tokens);
    let loss = |rotary: &Rotary| gradients(&open, &golden.tokens, rotary, Recompute::Nothing).loss;
    assert!((loss(&plain) - loss(&rotary(&open, &golden.positions))).abs() > 1e-2);
}

#[test]
fn sequences_of_a_batch_have_their_own_positions() {
    let golden = golden();
    let decoder = load("llama-gqa-tied").cast(DType::F64);
    let both = rotary(&decoder, &golden.positions);
    let both = gradients(&decoder, &golden.tokens, &both, Recompute::Layers).loss;
    let alone = |row: usize| {
        let rope = decoder.config().rope.resolve(200);
        let rotary = decoder
            .rotaries()
            .at(&rope, vec![golden.positions[row].clone()]);
        gradients(
            &decoder,
            &golden.tokens[row..=row],
            &rotary,
            Recompute::Layers,
        )
        .loss
    };
    assert!((both - alone(0) - alone(1)).abs() < 1e-9 * both);
}
