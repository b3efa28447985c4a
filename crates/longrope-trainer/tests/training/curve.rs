//! Twenty steps, against numbers that are written down here.

use longrope_model::{Gradients, Recompute, Trained};
use longrope_trainer::{Error, Trainer, TrainerConfig};

use crate::support::{batches, config, decoder, train_to};

/// Other instruction sets add up in another order, and twenty steps amplify that.
const CURVE_TOLERANCE: f64 = 2e-3;

fn losses(trainer_config: TrainerConfig) -> Vec<f64> {
    let mut trainer = Trainer::new(decoder(), trainer_config).unwrap();
    let reports = train_to(&mut trainer, 20);
    reports.into_iter().map(|report| report.loss).collect()
}

#[test]
fn twenty_steps_are_the_same_every_time_and_those_of_the_record() {
    let found = losses(config(Trained::All));
    assert_eq!(found, losses(config(Trained::All)), "bit for bit");
    let recorded: Vec<f64> = include_str!("curve.txt")
        .lines()
        .map(|line| line.parse().unwrap())
        .collect();
    assert_eq!(found.len(), recorded.len(), "{found:?}");
    for (step, (found, recorded)) in found.iter().zip(&recorded).enumerate() {
        let difference = (found - recorded).abs();
        assert!(
            difference < CURVE_TOLERANCE * recorded,
            "step {step}: {found}, recorded {recorded}; all: {found:?}"
        );
    }
    assert!(found[19] < found[0] - 1.0, "it learns: {found:?}");
}

#[test]
fn keeping_everything_learns_the_same() {
    let kept = TrainerConfig {
        recompute: Recompute::Nothing,
        ..config(Trained::All)
    };
    for (a, b) in losses(kept).iter().zip(losses(config(Trained::All))) {
        assert!((a - b).abs() < CURVE_TOLERANCE * b, "{a} {b}");
    }
}

#[test]
fn a_step_moves_the_weights_as_the_formula_says() {
    // First step of AdamW: m / (1 - β₁) = g, v / (1 - β₂) = g², so each weight moves by the rate, against
    // the sign of its gradient, and decays.
    let trainer_config = config(Trained::All);
    let mut trainer = Trainer::new(decoder(), trainer_config.clone()).unwrap();
    let before = weights(&trainer);
    let gradient = gradient(&trainer);
    train_to(&mut trainer, 1);
    let rate = trainer_config.schedule.at(0);
    let mut n_moved = 0;
    for ((before, after), gradient) in before.iter().zip(weights(&trainer)).zip(gradient) {
        if gradient.abs() < 0.05 {
            continue; // divided by the weight of all tokens, it is near epsilon
        }
        let expected = before * (1.0 - rate * 0.1) - rate * gradient.signum();
        assert!((after - expected).abs() < 1e-6, "{after} {expected}");
        n_moved += 1;
    }
    assert!(n_moved > 10);
}

const NAME: &str = "model.layers.0.mlp.down_proj.weight";

fn weights(trainer: &Trainer) -> Vec<f64> {
    let mut values = Vec::new();
    trainer.decoder().clone().for_each_parameter(|parameter| {
        if parameter.name == NAME {
            values = parameter.flat().into_data().iter::<f64>().collect();
        }
    });
    values
}

fn gradient(trainer: &Trainer) -> Vec<f64> {
    let mut sum = Gradients::default();
    for batch in batches(trainer.decoder(), 0) {
        let part = trainer
            .decoder()
            .loss_gradients(&batch.batch, &batch.rotary, Trained::All, Recompute::Layers)
            .unwrap();
        sum.merge(part.gradients);
    }
    let values = sum.take(NAME).unwrap();
    values.into_data().iter::<f64>().collect()
}

#[test]
fn what_is_not_finite_is_skipped_once() {
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    let mut broken = batches(trainer.decoder(), 0);
    broken[0].batch.loss_weights[0][5] = f32::INFINITY;
    let before = weights(&trainer);
    let report = trainer.step(&broken).unwrap();
    assert!(report.skipped);
    assert_eq!(before, weights(&trainer), "the weights are left alone");
    let good = batches(trainer.decoder(), 1);
    assert!(!trainer.step(&good).unwrap().skipped);
    trainer.step(&broken).unwrap();
    let error = trainer.step(&broken).unwrap_err();
    assert!(matches!(error, Error::NotFinite { step: 4, .. }), "{error}");
}

#[test]
fn a_step_in_which_nothing_counts_is_an_error() {
    let mut trainer = Trainer::new(decoder(), config(Trained::All)).unwrap();
    let mut empty = batches(trainer.decoder(), 0);
    for part in &mut empty {
        part.batch.loss_weights[0].fill(0.0);
    }
    let error = trainer.step(&empty).unwrap_err();
    assert!(matches!(error, Error::NothingCounts { step: 1 }), "{error}");
}
