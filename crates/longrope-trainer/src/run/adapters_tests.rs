use std::path::Path;

use burn::tensor::Device;
use longrope_data::{PackedStream, PackingConfig, Skips, TrainingWindow, skipped_positions};
use longrope_model::{Recompute, TokenBatch, Trained, TrainingBatch};
use longrope_rope::Method;

use super::*;
use crate::error::Error;
use crate::micro_batch::MicroBatch;
use crate::optimizer::OptimizerConfig;
use crate::run::{LoraSettings, Positions, SkippedPositions, TrainDataConfig};
use crate::schedule::{Decay, Schedule};
use crate::trainer::TrainerConfig;

const TARGET: usize = 128;
const WINDOW: usize = 32;
const SEED: u64 = 5;

fn decoder() -> Decoder {
    let fixture = "../../tests/fixtures/models/llama-gqa-tied";
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(fixture);
    Decoder::load(&folder, Device::flex()).unwrap()
}

fn documents() -> Arc<[TokenDocument]> {
    let tokens = (0..400).map(|i| (i * i + 7 * i) % 97).collect();
    Arc::from([TokenDocument {
        source: String::new(),
        tokens,
    }])
}

fn config() -> TrainConfig {
    TrainConfig {
        steps: 2,
        batch: 2,
        learning_rate: Some(1e-2),
        warmup_steps: 0,
        lora: LoraSettings {
            rank: 2,
            alpha: 4.0,
            target_modules: None,
        },
        positions: Positions::Skipped,
        skipped: SkippedPositions {
            targets: vec![TARGET],
            pieces: 3,
            share: 1.0,
        },
        ..TrainConfig::default()
    }
}

fn training(decoder: &Decoder, config: TrainConfig) -> Result<AdapterTraining> {
    let windows = AdapterWindows {
        documents: &documents(),
        tokenizer: None,
        bos: decoder.config().bos_token,
        window: WINDOW,
        seed: SEED,
        as_before: AsBefore::default(),
    };
    AdapterTraining::new(decoder, config, windows)
}

fn yarn(decoder: &Decoder) -> RopeSpec {
    Method::Yarn.spec(&decoder.config().rope, TARGET).unwrap()
}

#[test]
fn adapters_are_those_of_a_trainer_by_hand() {
    let decoder = decoder();
    let rope = yarn(&decoder);
    let training = training(&decoder, config()).unwrap();
    assert_eq!(training.n_tokens(), 2 * 2 * WINDOW);
    let found = Adapters::of(&training.train(&decoder, &rope).unwrap());

    let mut copy = decoder.clone();
    let lora = LoraConfig {
        rank: 2,
        alpha: 4.0,
        target_modules: ["q_proj", "k_proj", "v_proj", "o_proj"]
            .map(str::to_owned)
            .into(),
        modules_to_save: Vec::new(),
    };
    copy.add_adapters(&lora, &mut ChaCha8Rng::seed_from_u64(SEED))
        .unwrap();
    let fresh = Adapters::of(&copy);
    let settings = TrainerConfig {
        schedule: Schedule {
            learning_rate: 1e-2,
            warmup_steps: 0,
            total_steps: 2,
            decay: Decay::Linear,
        },
        optimizer: OptimizerConfig::default(),
        trained: Trained::Adapters,
        recompute: Recompute::Layers,
    };
    let mut trainer = Trainer::new(copy, settings).unwrap();
    let packing = PackingConfig {
        bos: decoder.config().bos_token,
        eos: decoder.config().eos_tokens.first().copied(),
        ..PackingConfig::new(WINDOW, SEED)
    };
    let mut stream = PackedStream::new(documents(), packing).unwrap();
    let skips = Skips {
        target: TARGET,
        pieces: 3,
        share: 1.0,
    };
    for step in 0..2 {
        let windows = [stream.next_window(), stream.next_window()];
        let numbered = (2 * step..).zip(&windows);
        let positions = numbered
            .map(|(number, window)| skipped_positions(window, skips, (SEED, number)).unwrap());
        let rotary = decoder
            .rotaries()
            .at(&rope.resolve(TARGET), positions.collect());
        let loss_weights = windows.iter().map(TrainingWindow::token_weights).collect();
        let batch = TrainingBatch {
            tokens: windows.map(|window| window.tokens).into(),
            loss_weights,
            documents: None,
        };
        let report = trainer.step(&[MicroBatch {
            batch,
            rotary,
            teacher: None,
        }]);
        assert!(!report.unwrap().skipped);
    }
    assert_eq!(found, Adapters::of(trainer.decoder()));
    assert_ne!(found, fresh);
}

#[test]
fn adapters_are_the_same_every_time_and_can_be_put_into_another_copy() {
    let decoder = decoder();
    let training = training(&decoder, config()).unwrap();
    let adapted = training.train(&decoder, &yarn(&decoder)).unwrap();
    let again = training.train(&decoder, &yarn(&decoder)).unwrap();
    assert_eq!(Adapters::of(&adapted), Adapters::of(&again));
    let pi = Method::Pi.spec(&decoder.config().rope, TARGET).unwrap();
    let other = training.train(&decoder, &pi).unwrap();
    assert_ne!(Adapters::of(&adapted), Adapters::of(&other));

    let copy = training
        .with_adapters(&decoder, &Adapters::of(&adapted))
        .unwrap();
    let losses = |decoder: &Decoder| {
        let tokens: Vec<u32> = (0..40).map(|i| i * i % 97).collect();
        let rotary = decoder.rotary(&yarn(decoder).resolve(40), 40);
        let batch = TokenBatch {
            sequences: &[&tokens],
            score_from: 1,
        };
        decoder.token_nll(batch, &rotary).unwrap()
    };
    assert_eq!(losses(&copy), losses(&adapted));
    assert_ne!(losses(&copy), losses(&decoder));
}

#[test]
fn what_cannot_be_trained_is_an_error_before_the_first_step() {
    let decoder = decoder();
    let generated = TrainConfig {
        data: TrainDataConfig {
            passkey: 1.0,
            ..TrainDataConfig::default()
        },
        ..config()
    };
    let error = training(&decoder, generated).unwrap_err();
    assert!(matches!(error, Error::NoTokenizer), "{error}");
    let mut no_text = config();
    no_text.data.text = 0.0;
    let error = training(&decoder, no_text).unwrap_err();
    assert!(matches!(error, Error::NothingToTrainOn), "{error}");
    let mut near = config();
    near.skipped.targets = vec![WINDOW];
    let error = training(&decoder, near).unwrap_err();
    assert!(matches!(error, Error::Setting { .. }), "{error}");
}
