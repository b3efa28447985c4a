//! A model whose layers lie on two backends computes what it computes on one.

use std::sync::Arc;

use burn::tensor::Device;
use longrope_model::{
    Decoder, FactorChoice, GenerateOptions, Generation, LossGradients, Placement, Precision,
    Recompute, Teacher, Trained,
};

use crate::support::{fixture, losses};
use crate::training::{batch, rotary, values};

const SEQ: usize = 24;

/// Backends round differently: losses in nats, and gradients relative to the largest of a parameter.
const OTHER_BACKEND: f64 = 1e-4;

const NAMES: [&str; 4] = [
    "llama-gqa-tied",
    "llama-sharded-bf16",
    "qwen2-layers",
    "phi3-longrope",
];

#[expect(deprecated, reason = "a second backend in the same process")]
fn two() -> Placement {
    Placement::spread(Device::flex(), vec![Device::ndarray()])
}

fn one(name: &str) -> Decoder {
    Decoder::load(&fixture(name), Device::flex()).unwrap()
}

fn spread(name: &str) -> Decoder {
    Decoder::load(&fixture(name), two()).unwrap()
}

fn tokens() -> Vec<u32> {
    (0..40).map(|t| (t * 7 + t * t) % 97).collect()
}

fn assert_near(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (x, y) in found.iter().zip(expected) {
        assert!(f64::from((x - y).abs()) < OTHER_BACKEND, "{what}: {x}, {y}");
    }
}

#[test]
fn losses_are_the_same_with_layers_in_memory_and_streamed() {
    for name in NAMES {
        let expected = one(name);
        let spec = &expected.config().rope;
        let expected = losses(&expected, spec, &tokens());
        assert_near(&losses(&spread(name), spec, &tokens()), &expected, name);
        let streamed = Decoder::stream(&fixture(name), two(), Precision::F32, Arc::new(|_, _| {}));
        assert_near(
            &losses(&streamed.unwrap(), spec, &tokens()),
            &expected,
            name,
        );
    }
}

#[test]
fn both_devices_hold_layers() {
    let mut decoder = spread("qwen2-layers");
    let mut on_second = 0;
    decoder.for_each_parameter(|parameter| {
        on_second += usize::from(parameter.device() != Device::flex());
    });
    assert!(on_second > 10, "{on_second} parameters");
}

#[test]
fn moving_a_model_and_back_keeps_the_bits() {
    let here = one("qwen2-layers");
    let spec = &here.config().rope;
    let moved = here.placed_on(&two());
    assert_eq!(
        losses(&moved, spec, &tokens()),
        losses(&spread("qwen2-layers"), spec, &tokens())
    );
    let back = moved.placed_on(&Device::flex().into());
    assert_eq!(
        losses(&back, spec, &tokens()),
        losses(&here, spec, &tokens())
    );
}

#[test]
fn a_cache_lies_where_the_layers_are() {
    for name in NAMES {
        let generate = |decoder: &Decoder| {
            let options = GenerateOptions {
                max_new_tokens: 20,
                factors: FactorChoice::Total,
                ..GenerateOptions::default()
            };
            let prompt = tokens();
            let spec = &decoder.config().rope;
            let mut run = Generation::new(decoder, spec, &[&prompt], options, 1).unwrap();
            while run.step().unwrap().is_some() {}
            run.new_tokens()[0].to_vec()
        };
        assert_eq!(generate(&spread(name)), generate(&one(name)), "{name}");
    }
}

fn assert_near_gradients(found: &LossGradients, expected: &LossGradients, what: &str) {
    let difference = (found.loss - expected.loss).abs();
    assert!(
        difference < OTHER_BACKEND * expected.loss.abs(),
        "{what}: {difference}"
    );
    let (found, expected) = (values(found), values(expected));
    assert_eq!(found.len(), expected.len(), "{what}");
    for (name, expected) in &expected {
        let largest = expected.iter().fold(0.0_f64, |max, x| max.max(x.abs()));
        for (x, y) in found[name].iter().zip(expected) {
            let difference = (x - y).abs();
            assert!(
                difference <= OTHER_BACKEND * largest.max(1e-3),
                "{what}, `{name}`: {x}, {y}"
            );
        }
    }
}

#[test]
fn gradients_are_the_same_recomputed_offloaded_and_on_one_tape() {
    for name in NAMES {
        let (here, apart) = (one(name), spread(name));
        for recompute in [Recompute::Layers, Recompute::Offloaded, Recompute::Nothing] {
            let run = |decoder: &Decoder| {
                let batch = batch(decoder, SEQ);
                let rotary = rotary(decoder, SEQ);
                let result = decoder.loss_gradients(&batch, &rotary, Trained::All, recompute);
                result.unwrap()
            };
            let what = format!("{name}, {recompute:?}");
            let found = run(&apart);
            assert_near_gradients(&found, &run(&here), &what);
            let mut decoder = apart.clone();
            decoder.for_each_parameter(|parameter| {
                let gradients = found.gradients.iter();
                for (_, gradient) in gradients.filter(|(name, _)| *name == parameter.name) {
                    assert_eq!(gradient.device(), parameter.device(), "{}", parameter.name);
                }
            });
        }
    }
}

#[test]
fn hidden_states_are_compared_where_they_are() {
    for recompute in [Recompute::Layers, Recompute::Nothing] {
        let run = |decoder: &Decoder| {
            let teacher = Teacher {
                decoder: decoder.clone(),
                rotary: rotary(decoder, SEQ),
                layers: vec![1, 2, 3],
                weight: 3.0,
            };
            let positions: Vec<usize> = (0..SEQ).map(|t| t + t / 5 * 20).collect();
            let rope = decoder.config().rope.resolve(200);
            let batch = batch(decoder, SEQ);
            let rotary = decoder
                .rotaries()
                .at(&rope, vec![positions; batch.tokens.len()]);
            let kind = Trained::All;
            let result = decoder.distillation_gradients(&batch, &teacher, &rotary, kind, recompute);
            result.unwrap()
        };
        // The layers of this model have no window.
        let (here, apart) = (one("llama-gqa-tied"), spread("llama-gqa-tied"));
        assert_near_gradients(&run(&apart), &run(&here), "llama-gqa-tied");
        let (here, apart) = (one("qwen2-layers"), spread("qwen2-layers"));
        assert_near_gradients(&run(&apart), &run(&here), "qwen2-layers");
    }
}
