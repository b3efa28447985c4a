//! Memory to train a model.

use longrope_rope::Residual;

use super::memory::Memory;
use super::sizes::Sizes;
use crate::config::ModelConfig;

/// Memory of the program itself in a training: code, texts, windows, and what the allocator keeps. Measured.
pub const TRAIN_PROGRAM_BYTES: f64 = 100e6;

/// Memory that the allocator takes from the system for intermediate results, relative to their bytes. Measured.
pub const ALLOCATOR_OVERHEAD: f64 = 1.08;

/// Numbers per token on the tape of the attention of a layer, as multiples of `h`, `q` and `k`.
const ATTENTION_TAPE: [f64; 3] = [4.0, 3.0, 2.6];

/// Numbers per token that the backward pass of the attention adds, as multiples of `h`, `q` and `k`.
const ATTENTION_BACKWARD: [f64; 3] = [1.5, 2.7, 2.7];

/// Numbers per row on the tape of an MLP, as multiples of `i` and `h`.
const MLP_TAPE: [f64; 2] = [5.0, 1.0];

/// Numbers per token of layers that are not recomputed.
struct WholeTape {
    /// On the tape of every layer, as multiples of `h`, `q` and `k`.
    attention: [f64; 3],
    /// On the tape of every layer, as multiples of `i`.
    inner: f64,
    /// What the backward pass adds in the layer that it is in, as multiples of `i`.
    backward_inner: f64,
}

/// If all weights need their inputs.
const WHOLE_TAPE: WholeTape = WholeTape {
    attention: [4.4, 2.5, 1.6],
    inner: 2.85,
    backward_inner: 2.3,
};

/// Below adapters of the attention.
const WHOLE_TAPE_OF_ADAPTERS: WholeTape = WholeTape {
    attention: [3.3, 2.5, 2.1],
    inner: 2.0,
    backward_inner: 2.9,
};

/// Bytes of a gradient of a weight: sums of gradients in half precision are in `f32`, and those of the weights of an MLP are
/// sums over pieces of a long window.
const GRADIENT_BYTES: f64 = 4.0;

/// Inputs of layers that are on a device at once if they wait elsewhere.
const INPUTS_AT_ONCE: f64 = 2.0;

/// Which parameters are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainedParameters {
    /// All parameters.
    All,
    /// Adapters with this many parameters.
    Adapters(usize),
}

/// How a model is trained, as far as that decides how much memory it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training {
    /// Which parameters.
    pub trained: TrainedParameters,
    /// Bytes of a weight.
    pub weight_bytes: usize,
    /// Bytes of a number that is computed.
    pub computed_bytes: usize,
    /// Whether the backward pass recomputes each layer.
    pub recompute: bool,
    /// Whether the inputs of layers wait in another memory.
    pub offload: bool,
    /// Whether the gradients of several micro-batches are added up for a step.
    pub accumulates: bool,
}

impl Training {
    /// Everything in `f32` and in one memory.
    pub const fn f32(trained: TrainedParameters) -> Self {
        Self {
            trained,
            weight_bytes: 4,
            computed_bytes: 4,
            recompute: true,
            offload: false,
            accumulates: false,
        }
    }

    /// Everything in half precision.
    pub const fn half(trained: TrainedParameters) -> Self {
        Self {
            trained,
            weight_bytes: 2,
            computed_bytes: 2,
            recompute: true,
            offload: false,
            accumulates: false,
        }
    }

    /// Bytes of the moments of Adam for a trained parameter, and of its precise value if it is in half precision.
    fn state_bytes(self) -> f64 {
        match (self.weight_bytes, self.trained) {
            (2, TrainedParameters::All) => 12.0,
            _ => 8.0,
        }
    }
}

/// Memory to train `T` parameters while recomputing layers.
///
/// In `f32`: `4P + 8T + 4·(gradients of the ends and of one layer) + n·4·(4h + 3q + 2.6k + rotary) +
/// max(min(n, 2048)·4·(5i + h), n·4·(1.5h + 2.7q + 2.7k)) + max(n·4·layers·h, gradients of the layers)`.
///
/// - Each trained parameter has both moments of Adam.
/// - Each token needs the tape of the attention of one layer. The MLP runs on 2,048 rows at a time, before the attention.
/// - The backward pass frees the input of each layer and adds its gradients, so the larger of both counts. If gradients of
///   earlier micro-batches are there already, both count, and so does the gradient of one end before it is added.
/// - With several sequences, `n` counts the tokens of all.
/// - All terms with `n` are multiplied by [`ALLOCATOR_OVERHEAD`].
pub fn train_memory(model: &ModelConfig, training: Training) -> Memory {
    let s = Sizes::of(model);
    train_with(model, &s, training, s.ends(), s.layers)
}

/// [`train_memory`] on each of `n_devices` that hold some of the layers.
pub fn train_memories(model: &ModelConfig, training: Training, n_devices: usize) -> Vec<Memory> {
    let s = Sizes::of(model);
    s.on_devices(model, n_devices, |ends, n_layers| {
        train_with(model, &s, training, ends, n_layers)
    })
}

fn train_with(
    model: &ModelConfig,
    s: &Sizes,
    training: Training,
    ends: f64,
    n_layers: f64,
) -> Memory {
    let (weight, computed) = (training.weight_bytes as f64, training.computed_bytes as f64);
    let per_layer = s.all_layers / s.layers;
    // Trained parameters of the ends, and of a layer. Adapters are in the type of computations; their gradients hardly count.
    let (trained_ends, trained_layer, gradient) = match training.trained {
        TrainedParameters::All => (ends, per_layer, GRADIENT_BYTES),
        TrainedParameters::Adapters(n) => (0.0, n as f64 / s.layers, computed),
    };
    let trained = trained_ends + n_layers * trained_layer;
    let adapters = match training.trained {
        TrainedParameters::All => 0.0,
        TrainedParameters::Adapters(_) => computed * trained,
    };
    let weights = weight * (ends + n_layers * per_layer) + adapters;
    let state = training.state_bytes() * trained + gradient * (trained_ends + trained_layer);
    let of = |[h, q, k]: [f64; 3]| h * s.h + q * s.q + k * s.k;
    let of_layers = gradient * n_layers * trained_layer;
    let (before, after) = if training.accumulates {
        let one_end = if model.tied_embeddings { 1.0 } else { 0.5 };
        (of_layers + gradient * one_end * trained_ends, 0.0)
    } else {
        (0.0, of_layers)
    };
    let program = Memory {
        gradient_bytes: after,
        ..Memory::fixed(TRAIN_PROGRAM_BYTES + weights + state + before)
    };
    if !training.recompute {
        let WholeTape {
            attention,
            inner,
            backward_inner,
        } = match training.trained {
            TrainedParameters::All => WHOLE_TAPE,
            TrainedParameters::Adapters(_) => WHOLE_TAPE_OF_ADAPTERS,
        };
        let of_layer = of(attention) + inner * s.i + s.moved * s.h;
        let numbers = n_layers * of_layer + backward_inner * s.i;
        return Memory {
            bytes_per_token: ALLOCATOR_OVERHEAD * (computed * numbers + s.angle_bytes()),
            // All gradients of a micro-batch are there before they are added to the others.
            gradient_bytes: of_layers,
            ..program
        };
    }
    let mlp = MLP_TAPE[0] * s.i + (MLP_TAPE[1] + s.moved) * s.h;
    let inputs = if training.offload {
        n_layers.min(INPUTS_AT_ONCE)
    } else {
        n_layers
    };
    let memory = Memory {
        bytes_per_token: ALLOCATOR_OVERHEAD * (computed * of(ATTENTION_TAPE) + s.angle_bytes()),
        bytes_per_row: ALLOCATOR_OVERHEAD * computed * mlp,
        backward_bytes_per_token: ALLOCATOR_OVERHEAD * computed * of(ATTENTION_BACKWARD),
        input_bytes_per_token: ALLOCATOR_OVERHEAD * computed * inputs * s.h,
        ..program
    };
    match model.layout.residual {
        Residual::Sequential => memory,
        // Attention and MLP are on one tape.
        Residual::Parallel => Memory {
            rows: f64::INFINITY,
            ..memory
        },
    }
}

/// Number of parameters of adapters on all linear maps of attention; `usize::MAX` if there are more. For other modules, see
/// [`LoraConfig::n_parameters`](crate::LoraConfig::n_parameters).
pub fn adapter_parameters(model: &ModelConfig, rank: usize) -> usize {
    let maps = model.attention_maps().into_iter();
    let per_rank = maps
        .map(|map| map.rows.saturating_add(map.columns))
        .fold(0, usize::saturating_add);
    model.n_layers.saturating_mul(rank).saturating_mul(per_rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::sizes::tests::{check, tiny};

    /// Measured peak memory of `finetune` on the bundled model, in KiB.
    const FULL: [(usize, f64); 4] = [
        (2048, 213_356.0),
        (4096, 240_644.0),
        (8192, 297_508.0),
        (16_384, 418_944.0),
    ];
    const LORA: [(usize, f64); 4] = [
        (2048, 158_700.0),
        (4096, 191_320.0),
        (8192, 262_796.0),
        (16_384, 405_100.0),
    ];

    #[test]
    fn training_was_measured() {
        check(
            train_memory(&tiny(), Training::f32(TrainedParameters::All)),
            &FULL,
        );
        let adapters = TrainedParameters::Adapters(adapter_parameters(&tiny(), 8));
        check(train_memory(&tiny(), Training::f32(adapters)), &LORA);
    }

    #[test]
    fn gradients_of_weights_in_half_precision_are_summed_in_f32() {
        let bytes = |training| train_memory(&tiny(), training).gradient_bytes;
        let all = TrainedParameters::All;
        let difference = bytes(Training::half(all)) - bytes(Training::f32(all));
        assert!(difference.abs() < 1.0, "{difference}");
    }

    #[test]
    fn devices_share_everything_but_the_tape() {
        let training = Training::half(TrainedParameters::All);
        let model = tiny();
        let whole = train_memory(&model, training);
        assert_eq!(train_memories(&model, training, 1), [whole]);
        let parts = train_memories(&model, training, 2);
        for part in &parts {
            assert!((part.bytes_per_token - whole.bytes_per_token).abs() < 1e-9);
            assert!(part.fixed_bytes < whole.fixed_bytes);
        }
        let inputs: f64 = parts.iter().map(|part| part.input_bytes_per_token).sum();
        assert!((inputs - whole.input_bytes_per_token).abs() < 1e-9);
    }

    #[test]
    fn offloaded_inputs_do_not_count() {
        let training = Training::f32(TrainedParameters::Adapters(1000));
        let kept = train_memory(&tiny(), training);
        let offloaded = train_memory(
            &tiny(),
            Training {
                offload: true,
                ..training
            },
        );
        // Two of the inputs of 4 layers are on the device at a time.
        let saved = kept.at(10_000) - offloaded.at(10_000);
        assert!(
            (saved - ALLOCATOR_OVERHEAD * 10_000.0 * 4.0 * 2.0 * 256.0).abs() < 1.0,
            "{saved}"
        );
    }
}
