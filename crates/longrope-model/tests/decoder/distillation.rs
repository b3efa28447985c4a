//! Losses of hidden states: with recompute against a single tape, and against differences of the loss. Against transformers:
//! `positions`.

use burn::tensor::DType;
use longrope_kernels::Documents;
use longrope_model::{Decoder, LossGradients, Recompute, Teacher, Trained, TrainingBatch};

use crate::support::load;
use crate::training::{assert_slopes, nudge, rotary, values};

const SEQ: usize = 24;

fn batch() -> TrainingBatch {
    let sequence = |row: u32| (0..24).map(|t| (t * 7 + row * 31 + t * t) % 97).collect();
    TrainingBatch {
        tokens: (0..2).map(sequence).collect(),
        ..TrainingBatch::default()
    }
}

/// The model itself, without gaps between positions, as the original of one whose positions have gaps.
fn teacher(decoder: &Decoder, layers: &[usize]) -> Teacher {
    Teacher {
        decoder: decoder.clone(),
        rotary: rotary(decoder, SEQ),
        layers: layers.to_vec(),
        weight: 3.0,
    }
}

fn run(
    decoder: &Decoder,
    batch: &TrainingBatch,
    teacher: &Teacher,
    recompute: Recompute,
) -> LossGradients {
    let positions: Vec<usize> = (0..SEQ).map(|t| t + t / 5 * 20).collect();
    let rope = decoder.config().rope.resolve(200);
    let rotary = decoder.rotaries().at(&rope, vec![positions; 2]);
    let result = decoder.distillation_gradients(batch, teacher, &rotary, Trained::All, recompute);
    result.unwrap()
}

#[test]
fn a_model_has_no_distance_to_itself() {
    let decoder = load("llama-gqa-tied").cast(DType::F64);
    let teacher = teacher(&decoder, &[1, 2]);
    let same = decoder
        .distillation_gradients(
            &batch(),
            &teacher,
            &teacher.rotary,
            Trained::All,
            Recompute::Layers,
        )
        .unwrap();
    assert!(same.loss.abs() < 1e-12, "{}", same.loss);
    assert_eq!((same.weight, same.n_tokens), (48.0, 46));
    assert!(same.plain_nll > 46.0, "also reported");
    for (name, values) in values(&same) {
        assert!(values.iter().all(|value| value.abs() < 1e-6), "{name}");
    }
}

#[test]
fn recomputed_gradients_equal_those_of_one_tape() {
    let decoder = load("llama-gqa-tied").cast(DType::F64);
    let confined = TrainingBatch {
        documents: Some(Documents::from_lengths(&[vec![10, 14], vec![24]])),
        ..batch()
    };
    for layers in [&[1][..], &[2], &[1, 2]] {
        let teacher = teacher(&decoder, layers);
        for batch in [&batch(), &confined] {
            let layerwise = run(&decoder, batch, &teacher, Recompute::Layers);
            let whole = run(&decoder, batch, &teacher, Recompute::Nothing);
            assert!(layerwise.loss > 1e-3);
            assert!((layerwise.loss - whole.loss).abs() < 1e-9 * whole.loss);
            let whole = values(&whole);
            for (name, found) in values(&layerwise) {
                let pairs = found.iter().zip(&whole[&name]);
                for (found, expected) in pairs {
                    assert!(
                        (found - expected).abs() < 1e-9,
                        "{name}: {found} {expected}"
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_are_the_slopes_of_the_loss() {
    let mut decoder = load("llama-gqa-tied").cast(DType::F64);
    let teacher = teacher(&decoder, &[1, 2]);
    let gradients = values(&run(&decoder, &batch(), &teacher, Recompute::Layers));
    assert_slopes(&mut decoder, &gradients, |decoder| {
        run(decoder, &batch(), &teacher, Recompute::Nothing).loss
    });
}

#[test]
fn the_original_keeps_its_weights_while_the_model_is_trained() {
    let mut decoder = load("llama-gqa-tied").cast(DType::F64);
    let teacher = teacher(&decoder, &[2]);
    let before = run(&decoder, &batch(), &teacher, Recompute::Layers).loss;
    nudge(&mut decoder, "model.layers.1.mlp.down_proj.weight", 3, 1.0);
    let after = run(&decoder, &batch(), &teacher, Recompute::Layers).loss;
    assert!((after - before).abs() > 1e-6, "{before} {after}");
    let again = teacher.decoder.clone();
    let same = run(&again, &batch(), &teacher, Recompute::Layers).loss;
    assert!((same - before).abs() < 1e-12);
}
