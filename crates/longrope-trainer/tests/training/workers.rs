//! Several devices in one training.

use burn::tensor::Device;
use longrope_model::{Decoder, Placement, Trained};
use longrope_trainer::{Error, MicroBatch, Trainer, Worker};

use crate::support::{adapted, batches, config, decoder, ndarray, two};

const STEPS: usize = 3;

/// The kernels of another backend round differently, and three steps amplify that.
const OTHER_BACKEND: f32 = 1e-3;

fn flex(n: usize) -> Vec<Worker> {
    let worker = Worker {
        name: "flex".to_owned(),
        placement: Device::flex().into(),
        is_cpu: true,
    };
    vec![worker; n]
}

fn on_ndarray() -> Worker {
    Worker {
        name: "ndarray".to_owned(),
        placement: ndarray().into(),
        is_cpu: true,
    }
}

/// Five micro-batches of a step.
fn several(decoder: &Decoder, step: usize) -> Vec<MicroBatch> {
    (0..3)
        .flat_map(|part| batches(decoder, step + part))
        .take(5)
        .collect()
}

fn weights(decoder: &Decoder) -> Vec<f32> {
    let mut all = Vec::new();
    decoder.clone().for_each_parameter(|parameter| {
        all.extend(parameter.flat().into_data().iter::<f32>());
    });
    all
}

/// The weights and the losses after some steps on these workers.
fn trained(decoder: Decoder, trained: Trained, workers: &[Worker]) -> (Vec<f32>, Vec<f64>) {
    let trainer = Trainer::new(decoder, config(trained)).unwrap();
    let mut trainer = trainer.with_workers(workers).unwrap();
    let mut losses = Vec::new();
    for step in 0..STEPS {
        let batches = several(trainer.decoder(), step);
        losses.push(trainer.step(&batches).unwrap().loss);
    }
    (weights(trainer.decoder()), losses)
}

#[test]
fn two_three_and_four_workers_train_to_the_same_bits_as_one() {
    let kinds = [(decoder(), Trained::All), (adapted(), Trained::Adapters)];
    for (decoder, kind) in kinds {
        let expected = trained(decoder.clone(), kind, &[]);
        assert_ne!(expected.0, weights(&decoder), "it learns");
        for n in 1..=4 {
            let found = trained(decoder.clone(), kind, &flex(n));
            assert!(found == expected, "{n} workers, {kind:?}");
        }
    }
}

#[test]
fn a_worker_on_another_backend_has_a_copy_that_follows() {
    let expected = trained(decoder(), Trained::All, &[]);
    let workers = [flex(1), vec![on_ndarray()]].concat();
    let found = trained(decoder(), Trained::All, &workers);
    for (x, y) in found.0.iter().zip(&expected.0) {
        assert!((x - y).abs() < OTHER_BACKEND, "{x} is not {y}");
    }
}

#[test]
fn a_worker_that_fails_is_named_and_leaves_the_weights_as_they_are() {
    let trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    let mut trainer = trainer.with_workers(&flex(2)).unwrap();
    let before = weights(trainer.decoder());
    let mut broken = several(trainer.decoder(), 0);
    // Too few angles make the kernel panic, as a lost device does.
    let rope = trainer.decoder().config().rope.resolve(4);
    broken[2].rotary = trainer.decoder().rotary(&rope, 4);
    let error = trainer.step(&broken).unwrap_err();
    assert!(
        matches!(&error, Error::DeviceFailed { device, .. } if device == "flex"),
        "{error:?}"
    );
    assert_eq!(weights(trainer.decoder()), before);
    assert_eq!(trainer.n_steps(), 0);
    let batches = several(trainer.decoder(), 0);
    assert_eq!(trainer.step(&batches).unwrap().step, 1);
}

#[test]
fn layers_on_two_devices_train_as_on_one() {
    let kinds = [(decoder(), Trained::All), (adapted(), Trained::Adapters)];
    for (decoder, kind) in kinds {
        let expected = trained(decoder.clone(), kind, &[]);
        let found = trained(decoder.placed_on(&two()), kind, &[]);
        for (x, y) in found.0.iter().zip(&expected.0) {
            assert!((x - y).abs() < OTHER_BACKEND, "{x} is not {y}, {kind:?}");
        }
        // Two workers, of which each has its layers on two devices, one of them in the other order.
        let [a, b] = [two(), Placement::spread(ndarray(), vec![Device::flex()])];
        let workers = [a.clone(), b].map(|placement| Worker {
            name: "both".to_owned(),
            placement,
            is_cpu: true,
        });
        let found = trained(decoder.placed_on(&a), kind, &workers);
        for (x, y) in found.0.iter().zip(&expected.0) {
            assert!(
                (x - y).abs() < OTHER_BACKEND,
                "{x} is not {y}, {kind:?}, workers"
            );
        }
    }
}
