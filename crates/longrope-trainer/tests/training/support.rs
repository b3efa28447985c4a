//! A tiny model and batches that depend on the step only.

use std::path::{Path, PathBuf};

use burn::tensor::Device;
use longrope_model::{Decoder, LoraConfig, Placement, Recompute, Trained, TrainingBatch};
use longrope_trainer::{
    Decay, MicroBatch, OptimizerConfig, Schedule, StepReport, Trainer, TrainerConfig,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// Tokens of a sequence.
const SEQ: usize = 48;

pub(crate) fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/models/llama-gqa-tied")
}

pub(crate) fn decoder() -> Decoder {
    Decoder::load(&base(), Device::flex()).unwrap()
}

/// A second backend in the same process.
#[expect(deprecated, reason = "there is no other one on every machine")]
pub(crate) fn ndarray() -> Device {
    Device::ndarray()
}

/// Layers on two backends.
pub(crate) fn two() -> Placement {
    Placement::spread(Device::flex(), vec![ndarray()])
}

pub(crate) fn lora() -> LoraConfig {
    LoraConfig {
        rank: 2,
        alpha: 4.0,
        target_modules: ["q_proj", "v_proj"].map(str::to_owned).to_vec(),
        modules_to_save: Vec::new(),
    }
}

/// A decoder with adapters.
pub(crate) fn adapted() -> Decoder {
    let mut decoder = decoder();
    let mut rng = ChaCha8Rng::seed_from_u64(9);
    decoder.add_adapters(&lora(), &mut rng).unwrap();
    decoder
}

pub(crate) fn config(trained: Trained) -> TrainerConfig {
    TrainerConfig {
        schedule: Schedule {
            learning_rate: 1e-2,
            warmup_steps: 3,
            total_steps: 20,
            decay: Decay::Linear,
        },
        optimizer: OptimizerConfig {
            weight_decay: 0.1,
            ..OptimizerConfig::default()
        },
        trained,
        recompute: Recompute::Layers,
    }
}

/// Two micro-batches of a step: a sequence that repeats itself, and one with other weights.
pub(crate) fn batches(decoder: &Decoder, step: usize) -> Vec<MicroBatch> {
    let vocab_size = decoder.config().vocab_size;
    let rope = decoder.config().rope.resolve(SEQ);
    let rotary = decoder.rotary(&rope, SEQ);
    (0..2)
        .map(|part| {
            let token = |t: usize| ((t % 7) * 11 + step % 2 * 3 + part * 5) % vocab_size;
            let sequence: Vec<u32> = (0..SEQ).map(|t| u32::try_from(token(t)).unwrap()).collect();
            MicroBatch {
                batch: TrainingBatch {
                    tokens: vec![sequence],
                    loss_weights: vec![vec![1.0 + part as f32; SEQ]],
                    documents: None,
                },
                rotary: rotary.clone(),
                teacher: None,
            }
        })
        .collect()
}

/// Makes steps until there are `n_steps`.
pub(crate) fn train_to(trainer: &mut Trainer, n_steps: usize) -> Vec<StepReport> {
    let mut reports = Vec::new();
    while trainer.n_steps() < n_steps {
        let batches = batches(trainer.decoder(), trainer.n_steps());
        reports.push(trainer.step(&batches).unwrap());
    }
    reports
}
