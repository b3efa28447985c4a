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

/// As many tokens as the rows of the MLP that are computed at once, and more.
const WINDOWS: [usize; 3] = [2048, 2560, 3072];

/// Rank of the adapters.
const RANK: usize = 8;

/// Sizes of models: vocabulary, residual stream, layers, query heads, key heads, MLP. The first is measured with all windows.
const SHAPES: [[usize; 6]; 4] = [
    [512, 96, 3, 2, 1, 288],
    // Attention needs more than the MLP.
    [256, 128, 4, 2, 1, 32],
    // Every query head has its own keys, and layers are few.
    [300, 64, 2, 4, 4, 512],
    // A large vocabulary.
    [4096, 64, 3, 2, 2, 160],
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

fn evaluate(decoder: &Decoder, n_tokens: usize) {
    let rope = decoder.config().rope.resolve(n_tokens);
    let rotary = decoder.rotary(&rope, n_tokens);
    let batch = TokenBatch {
        sequences: &[&tokens(n_tokens)],
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

/// The formulas that are not near what was measured.
#[derive(Default)]
struct Misses(Vec<String>);

impl Misses {
    /// `overhead` is what the allocator takes beyond what is allocated.
    fn compare(&mut self, memory: f64, overhead: f64, measured: f64, what: &str) {
        let ratio = memory / overhead / measured;
        if (ratio - 1.0).abs() >= TOLERANCE {
            self.0.push(format!("{what}: {ratio:.3}"));
        }
    }

    fn compare_training(&mut self, memory: Memory, n_tokens: usize, measured: f64, what: &str) {
        let memory = memory.at(n_tokens) - estimate::TRAIN_PROGRAM_BYTES;
        self.compare(memory, estimate::ALLOCATOR_OVERHEAD, measured, what);
    }

    /// An evaluation and all kinds of training of windows of `n_tokens`.
    fn compare_window(&mut self, shape: [usize; 6], n_tokens: usize) {
        let model = decoder(shape).config().clone();
        let measured = peak_of(|| evaluate(&decoder(shape), n_tokens));
        let memory = estimate::eval_memory(&model, Held::F32);
        let memory = Memory {
            bytes_per_token: memory.bytes_per_token / estimate::EVAL_ALLOCATOR_OVERHEAD,
            ..memory
        };
        let memory = memory.at(n_tokens) - estimate::EVAL_PROGRAM_BYTES;
        let what = format!("{shape:?}, {n_tokens} tokens");
        self.compare(memory, 1.0, measured, &format!("{what}, evaluation"));

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
                let measured = peak_of(|| train(decoder(shape), kind, recompute, [n_tokens, 1]));
                let training = Training {
                    recompute: recompute != Recompute::Nothing,
                    ..Training::f32(trained)
                };
                let memory = estimate::train_memory(&model, training);
                let what = format!("{what}, {kind:?}, {recompute:?}");
                self.compare_training(memory, n_tokens, measured, &what);
            }
        }
    }

    /// A training whose weights need most of the memory.
    fn compare_weights(&mut self, recompute: Recompute, n_micro_batches: usize) {
        let model = decoder(WEIGHTS).config().clone();
        let sizes = [FEW_TOKENS, n_micro_batches];
        let measured = peak_of(|| train(decoder(WEIGHTS), Trained::All, recompute, sizes));
        let training = Training {
            recompute: recompute != Recompute::Nothing,
            accumulates: n_micro_batches > 1,
            ..Training::f32(estimate::TrainedParameters::All)
        };
        let memory = estimate::train_memory(&model, training);
        let what = format!("{recompute:?}, {n_micro_batches} micro-batches");
        self.compare_training(memory, FEW_TOKENS, measured, &what);
    }
}

// One test, because all threads share the counters.
#[test]
fn formulas_are_near_measured_allocations() {
    // The threads keep buffers from the first product on.
    evaluate(&decoder(SHAPES[0]), WINDOWS[0]);
    let mut misses = Misses::default();
    for shape in SHAPES {
        let windows = if shape == SHAPES[0] {
            &WINDOWS
        } else {
            &WINDOWS[2..]
        };
        for &n_tokens in windows {
            misses.compare_window(shape, n_tokens);
        }
    }
    for recompute in [Recompute::Layers, Recompute::Nothing] {
        // Adding up gradients needs no second set of them where layers are recomputed. Here, a set is a quarter of the memory.
        for n_micro_batches in [1, 3] {
            misses.compare_weights(recompute, n_micro_batches);
        }
    }
    assert!(misses.0.is_empty(), "{:#?}", misses.0);
}
