//! The memory formulas against the allocations of this program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use burn::tensor::Device;
use longrope_model::estimate::{self, Held, Memory, Training};
use longrope_model::{
    Decoder, DecoderConfig, DecoderSizes, LoraConfig, Recompute, TokenBatch, Trained, TrainingBatch,
};
use longrope_trainer::{Decay, MicroBatch, OptimizerConfig, Schedule, Trainer, TrainerConfig};
use peak_alloc::PeakAlloc;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Relative error of a formula, without the memory of the program itself.
const TOLERANCE: f64 = 0.1;

/// More than the rows of the MLP that are computed at once.
const TOKENS: usize = 2560;

/// Rank of the adapters.
const RANK: usize = 8;

/// Sizes of models: vocabulary, residual stream, layers, query heads, key heads, MLP.
const SHAPES: [[usize; 6]; 2] = [
    [512, 96, 3, 2, 1, 288],
    // Attention needs more than the MLP.
    [256, 128, 4, 2, 1, 32],
];

/// A model whose weights need most of the memory, with windows of [`FEW_TOKENS`].
const WEIGHTS: [usize; 6] = [256, 128, 6, 2, 1, 512];
const FEW_TOKENS: usize = 32;

/// Most bytes that are allocated at once while `run` runs.
fn peak_of(run: impl FnOnce()) -> f64 {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    run();
    (MEMORY.peak_usage() - before) as f64
}

fn decoder([vocab, hidden, layers, heads, key_heads, inner]: [usize; 6]) -> Decoder {
    let sizes = DecoderSizes {
        vocab,
        hidden,
        layers,
        heads,
    };
    DecoderConfig::new(sizes)
        .with_kv_heads(key_heads)
        .with_intermediate(inner)
        .init(&Device::flex())
}

fn tokens(n: usize) -> Vec<u32> {
    (0..200).cycle().take(n).collect()
}

fn evaluate(decoder: &Decoder) {
    let rope = decoder.config().rope.resolve(TOKENS);
    let rotary = decoder.rotary(&rope, TOKENS);
    let batch = TokenBatch {
        sequences: &[&tokens(TOKENS)],
        score_from: 1,
    };
    decoder.token_nll(batch, &rotary).unwrap();
}

/// Two steps of some micro-batches of one window: moments exist from the first on.
fn train(
    mut decoder: Decoder,
    trained: Trained,
    recompute: Recompute,
    [n_tokens, n_micro_batches]: [usize; 2],
) {
    if trained == Trained::Adapters {
        let maps = ["q_proj", "k_proj", "v_proj", "o_proj"];
        let config = LoraConfig {
            rank: RANK,
            alpha: 16.0,
            target_modules: maps.map(str::to_owned).to_vec(),
            modules_to_save: Vec::new(),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        decoder.add_adapters(&config, &mut rng).unwrap();
    }
    let config = TrainerConfig {
        schedule: Schedule {
            learning_rate: 1e-3,
            warmup_steps: 1,
            total_steps: 4,
            decay: Decay::Linear,
        },
        optimizer: OptimizerConfig::default(),
        trained,
        recompute,
    };
    let mut trainer = Trainer::new(decoder, config).unwrap();
    let rope = trainer.decoder().config().rope.resolve(n_tokens);
    for _ in 0..2 {
        let batch = MicroBatch {
            batch: TrainingBatch {
                tokens: vec![tokens(n_tokens)],
                ..TrainingBatch::default()
            },
            rotary: trainer.decoder().rotary(&rope, n_tokens),
            teacher: None,
        };
        trainer.step(&vec![batch; n_micro_batches]).unwrap();
    }
}

/// `overhead` is what the allocator takes beyond what is allocated.
fn assert_near(memory: f64, overhead: f64, measured: f64, what: &str) {
    let ratio = memory / overhead / measured;
    assert!((ratio - 1.0).abs() < TOLERANCE, "{what}: {ratio}");
}

fn assert_trained(memory: Memory, n_tokens: usize, measured: f64, what: &str) {
    let memory = memory.at(n_tokens) - estimate::TRAIN_PROGRAM_BYTES;
    assert_near(memory, estimate::ALLOCATOR_OVERHEAD, measured, what);
}

// One test, because all threads share the counters.
#[test]
fn formulas_are_near_measured_allocations() {
    for shape in SHAPES {
        let model = decoder(shape).config().clone();
        let measured = peak_of(|| evaluate(&decoder(shape)));
        let memory = estimate::eval_memory(&model, Held::F32);
        let memory = memory.at(TOKENS) - estimate::EVAL_PROGRAM_BYTES;
        let what = format!("{shape:?}, evaluation");
        assert_near(memory, 1.0, measured, &what);

        let n_adapters = estimate::adapter_parameters(&model, RANK);
        let kinds = [
            (Trained::All, estimate::TrainedParameters::All),
            (
                Trained::Adapters,
                estimate::TrainedParameters::Adapters(n_adapters),
            ),
        ];
        for (kind, trained) in kinds {
            // A CPU has no other memory for the inputs of layers.
            for recompute in [Recompute::Layers, Recompute::Offloaded, Recompute::Nothing] {
                let measured = peak_of(|| train(decoder(shape), kind, recompute, [TOKENS, 1]));
                let training = Training {
                    recompute: recompute != Recompute::Nothing,
                    ..Training::f32(trained)
                };
                let memory = estimate::train_memory(&model, training);
                let what = format!("{shape:?}, {kind:?}, {recompute:?}");
                assert_trained(memory, TOKENS, measured, &what);
            }
        }
    }
    let model = decoder(WEIGHTS).config().clone();
    for recompute in [Recompute::Layers, Recompute::Nothing] {
        // Adding up gradients needs no second set of them where layers are recomputed. Here, a set is a quarter of the memory.
        for n_micro_batches in [1, 3] {
            let sizes = [FEW_TOKENS, n_micro_batches];
            let measured = peak_of(|| train(decoder(WEIGHTS), Trained::All, recompute, sizes));
            let training = Training {
                recompute: recompute != Recompute::Nothing,
                accumulates: n_micro_batches > 1,
                ..Training::f32(estimate::TrainedParameters::All)
            };
            let memory = estimate::train_memory(&model, training);
            let what = format!("{recompute:?}, {n_micro_batches} micro-batches");
            assert_trained(memory, FEW_TOKENS, measured, &what);
        }
    }
}
