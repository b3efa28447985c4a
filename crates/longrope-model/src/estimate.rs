//! Estimates of memory and time for evaluation and training: formulas with measured constants.
//!
//! All formulas are for one window of `n` tokens in `f32` on the CPU. `h` is the width of the residual stream, `q` the
//! width of all query heads, `k` the width of all key heads, `i` the width of the MLP, `v` the size of the vocabulary,
//! and `P` the number of parameters. A token counts `i` once for each expert that it uses, and moves `m` vectors of width
//! `h` to its experts and back; `m` is 0 in layers without experts.

use serde::Serialize;

use crate::config::ModelConfig;

/// Memory of an idle program: code, tokenizer and the first pages of the allocator. Measured.
const BASE_BYTES: f64 = 50e6;
/// The same for training, where texts, windows and buffers of the kernels are in memory together. Measured.
const TRAIN_BASE_BYTES: f64 = 80e6;
/// Number of rows that go through a layer at once in an evaluation.
const CHUNK_ROWS: f64 = 2048.0;
/// Bytes per number.
const F32: f64 = 4.0;
/// Speed of attention in operations per second, relative to matrix products.
const ATTENTION_EFFICIENCY: f64 = 0.5;

/// Peak memory in bytes, as a linear function of the number of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Memory {
    /// Bytes that do not depend on the number of tokens.
    pub fixed_bytes: f64,
    /// Bytes that each token adds.
    pub bytes_per_token: f64,
}

impl Memory {
    /// Memory for `n` tokens, in bytes.
    pub fn at(self, n: usize) -> f64 {
        self.fixed_bytes + self.bytes_per_token * n as f64
    }

    /// The largest number of tokens that fit into `bytes`; 0 if not even an empty window fits.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of tokens"
    )]
    pub fn longest(self, bytes: f64) -> usize {
        ((bytes - self.fixed_bytes) / self.bytes_per_token).max(0.0) as usize
    }
}

/// How weights are held while a model is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Held {
    /// Whether only one layer is in memory at a time.
    pub streamed: bool,
    /// Bytes of a number in a matrix.
    pub bytes: usize,
}

impl Held {
    /// All weights in `f32`.
    pub const F32: Self = Self {
        streamed: false,
        bytes: 4,
    };

    /// The same with other layers in memory.
    #[must_use]
    pub const fn streamed(self, streamed: bool) -> Self {
        Self { streamed, ..self }
    }
}

/// The sizes that the formulas use.
struct Sizes {
    params: f64,
    /// Parameters of the largest layer.
    layer_params: f64,
    /// Parameters of all layers.
    all_layers: f64,
    layers: f64,
    h: f64,
    q: f64,
    k: f64,
    /// Width inside the MLP, or inside all experts that a token uses.
    i: f64,
    /// Vectors that a token moves to experts and back.
    moved: f64,
    /// Parameters of the layers that a token does not use.
    unused_params: f64,
    v: f64,
    rotary_dim: f64,
}

/// The layers with experts; all 0 if there are none.
#[derive(Default)]
struct Sparse {
    layers: f64,
    /// Parameters of all experts of a layer.
    params: f64,
    /// Those of experts that a token does not use.
    unused_params: f64,
    /// Width inside the experts that a token uses.
    width: f64,
    moved: f64,
}

impl Sparse {
    fn of(model: &ModelConfig) -> Self {
        let Some(experts) = &model.layout.experts else {
            return Self::default();
        };
        let used = experts.per_token as f64;
        let each = model.parameters_of_expert(experts) as f64;
        let shared = experts.shared.map_or(0, |shared| shared.inner);
        Self {
            layers: experts.layers.iter().filter(|sparse| **sparse).count() as f64,
            params: each * experts.n_experts as f64,
            unused_params: each * (experts.n_experts as f64 - used),
            width: used * experts.inner as f64 + shared as f64,
            moved: MOVED * used,
        }
    }
}

/// Width inside the MLP, if any layer has one.
fn dense_width(model: &ModelConfig, sparse_layers: f64) -> f64 {
    if sparse_layers < model.n_layers as f64 {
        model.intermediate_size as f64
    } else {
        0.0
    }
}

/// Vectors that a token has for each of its experts: input, output, output in the order of tokens, and its weighted copy.
const MOVED: f64 = 4.0;

impl Sizes {
    fn of(model: &ModelConfig) -> Self {
        let (h, v) = (model.hidden_size as f64, model.vocab_size as f64);
        let ends = if model.tied_embeddings { 1.0 } else { 2.0 };
        let params = model.n_parameters() as f64;
        let sparse = Sparse::of(model);
        let layers = model.n_layers as f64;
        let all_layers = (params - ends * h * v).max(0.0);
        // The largest layer is one with experts.
        let layer_params = if sparse.layers > 0.0 {
            (all_layers - sparse.layers * sparse.params) / layers + sparse.params
        } else {
            all_layers / layers
        };
        Self {
            params,
            layer_params,
            all_layers,
            layers,
            h,
            q: model.n_heads as f64 * model.head_dim as f64,
            k: model.n_kv_heads as f64 * model.head_dim as f64,
            i: sparse.width.max(dense_width(model, sparse.layers)),
            moved: sparse.moved,
            unused_params: sparse.layers * sparse.unused_params,
            v,
            rotary_dim: model.rope.rotary_dim as f64,
        }
    }

    /// Bytes per token for cosines, sines and ids.
    fn angle_bytes(&self) -> f64 {
        F32 * self.rotary_dim + 24.0
    }

    /// Bytes of the intermediate results of a chunk in a layer.
    fn chunk_bytes(&self) -> f64 {
        F32 * CHUNK_ROWS * (3.0 * self.i + 2.0 * self.q + (2.0 + self.moved) * self.h)
    }
}

/// Memory to evaluate perplexity: `4P + chunk + n·4·(h + 4k + rotary)`.
///
/// Each token needs its residual stream, and its keys and values in one layer, which exist twice while chunks are
/// joined. With streamed weights, `P` counts only embeddings, head and one layer. In half precision, a weight has two bytes.
pub fn eval_memory(model: &ModelConfig, held: Held) -> Memory {
    let s = Sizes::of(model);
    let weights = if held.streamed {
        s.params - s.all_layers + s.layer_params
    } else {
        s.params
    };
    Memory {
        fixed_bytes: BASE_BYTES + held.bytes as f64 * weights + s.chunk_bytes(),
        bytes_per_token: F32 * (s.h + 4.0 * s.k) + s.angle_bytes(),
    }
}

/// Memory to generate text: `4P + chunk + 4v + n·4·(2·layers·k + h + rotary)`.
///
/// Each token needs its keys and values in all layers. A prompt goes through the layers in chunks, which are at most as
/// long as those of an evaluation. Weights count as there.
pub fn generate_memory(model: &ModelConfig, held: Held) -> Memory {
    let s = Sizes::of(model);
    let eval = eval_memory(model, held);
    Memory {
        fixed_bytes: eval.fixed_bytes + F32 * s.v,
        bytes_per_token: F32 * (2.0 * s.layers * s.k + s.h) + s.angle_bytes(),
    }
}

/// Which parameters are trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trained {
    /// All parameters.
    All,
    /// Adapters with this many parameters.
    Adapters(usize),
}

/// Memory to train `T` parameters while recomputing layers: `4P + 16T + n·4·((layers + 2)·h + tape)`.
///
/// - Each trained parameter needs its gradient, both moments of Adam, and a second gradient while gradients are scaled.
/// - Each token needs the input of every layer, and the intermediate results of one layer with their gradients: `tape =
///   (6 + m)h + 2q + 2k + 5i`.
pub fn train_memory(model: &ModelConfig, trained: Trained) -> Memory {
    let s = Sizes::of(model);
    let n_trained = match trained {
        Trained::All => s.params,
        Trained::Adapters(n) => n as f64,
    };
    let tape = (TAPE[0] + s.moved) * s.h + TAPE[1] * s.q + TAPE[2] * s.k + TAPE[3] * s.i;
    Memory {
        fixed_bytes: TRAIN_BASE_BYTES + F32 * (s.params + 4.0 * n_trained),
        bytes_per_token: F32 * ((s.layers + 2.0) * s.h + tape) + s.angle_bytes(),
    }
}

/// Numbers per token on the tape of a layer, as multiples of `h`, `q`, `k` and `i`.
const TAPE: [f64; 4] = [6.0, 2.0, 2.0, 5.0];

/// Number of parameters of adapters on all linear maps of attention; `usize::MAX` if there are more. For other modules, see
/// [`LoraConfig::n_parameters`](crate::LoraConfig::n_parameters).
pub fn adapter_parameters(model: &ModelConfig, rank: usize) -> usize {
    let maps = model.attention_maps().into_iter();
    let per_rank = maps
        .map(|map| map.rows.saturating_add(map.columns))
        .fold(0, usize::saturating_add);
    model.n_layers.saturating_mul(rank).saturating_mul(per_rank)
}

/// Floating-point operations of a forward pass over `n` tokens: `2n(P' + hv)` for matrix products, where `P'` are the
/// parameters of the layers without experts that a token does not use, and `2n²q·layers` for attention, whose operations count twice because they are slower.
pub fn forward_flops(model: &ModelConfig, n: usize) -> f64 {
    let s = Sizes::of(model);
    let n = n as f64;
    // A layer with a sliding window sees at most `window` tokens.
    let seen: f64 = model
        .windows
        .iter()
        .map(|window| window.map_or(n / 2.0, |window| (window as f64).min(n / 2.0)))
        .sum();
    let products = 2.0 * n * (s.all_layers - s.unused_params + s.h * s.v);
    products + 4.0 * n * s.q * seen / ATTENTION_EFFICIENCY
}

/// Time of a training step in forward passes: one forward pass, one to recompute layers, and two for the backward pass.
pub const STEP_FORWARDS: f64 = 4.0;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// Measured peak memory of `eval ppl` and `finetune` on the bundled model, in KiB.
    const EVAL: [(usize, f64); 5] = [
        (4096, 95_924.0),
        (16_384, 124_252.0),
        (32_768, 188_416.0),
        (65_536, 333_328.0),
        (131_072, 529_408.0),
    ];

    const FULL: [(usize, f64); 5] = [
        (4096, 262_144.0),
        (8192, 388_096.0),
        (16_384, 621_568.0),
        (32_768, 1_082_368.0),
        (65_536, 2_008_064.0),
    ];
    const LORA: [(usize, f64); 3] = [(4096, 204_800.0), (8192, 350_208.0), (16_384, 571_392.0)];

    fn model() -> ModelConfig {
        let folder =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../longrope/assets/tiny-llama-256");
        let mut model = ModelConfig::from_folder(&folder).unwrap();
        // The sizes that were measured, in case another model is bundled later.
        (model.vocab_size, model.hidden_size, model.intermediate_size) = (1024, 256, 688);
        (
            model.n_layers,
            model.n_heads,
            model.n_kv_heads,
            model.head_dim,
        ) = (4, 4, 2, 64);
        model.windows = vec![None; 4];
        model
    }

    fn check(memory: Memory, measured: &[(usize, f64)]) {
        for (n, kibibytes) in measured {
            let ratio = memory.at(*n) / (kibibytes * 1024.0);
            assert!((0.8..1.2).contains(&ratio), "{n} tokens: {ratio}");
        }
    }

    #[test]
    fn evaluation_was_measured() {
        check(eval_memory(&model(), Held::F32), &EVAL);
    }

    #[test]
    fn training_was_measured() {
        check(train_memory(&model(), Trained::All), &FULL);
        let adapters = Trained::Adapters(adapter_parameters(&model(), 8));
        check(train_memory(&model(), adapters), &LORA);
    }

    #[test]
    fn the_longest_window_is_the_inverse() {
        let memory = eval_memory(&model(), Held::F32);
        let longest = memory.longest(1e9);
        assert!(memory.at(longest) <= 1e9 && memory.at(longest + 1) > 1e9);
        assert_eq!(memory.longest(1.0), 0);
    }

    #[test]
    fn sizes_that_overflow_do_not_look_small() {
        let mut model = model();
        model.vocab_size = usize::MAX / 2;
        assert!(eval_memory(&model, Held::F32).fixed_bytes > 1e18);
        assert!(train_memory(&model, Trained::All).fixed_bytes > 1e18);
        assert!(forward_flops(&model, 1024) > 1e18);
        (model.n_heads, model.head_dim) = (usize::MAX, usize::MAX);
        assert_eq!(adapter_parameters(&model, usize::MAX), usize::MAX);
        assert!(eval_memory(&model, Held::F32.streamed(true)).fixed_bytes > 1e18);
    }

    #[test]
    fn generation_keeps_the_keys_and_values_of_all_layers() {
        let memory = generate_memory(&model(), Held::F32);
        // Two kinds of rows in 4 layers, 2 heads of 64 numbers of 4 bytes.
        assert!(memory.bytes_per_token > f64::from(2 * 4 * 2 * 64 * 4));
        let whole = memory.at(4096);
        assert!((50e6..150e6).contains(&whole), "{whole}");
    }

    #[test]
    fn streaming_keeps_one_layer() {
        let model = model();
        let (all, one) = (
            eval_memory(&model, Held::F32),
            eval_memory(&model, Held::F32.streamed(true)),
        );
        let layer = Sizes::of(&model).layer_params;
        assert!((all.fixed_bytes - one.fixed_bytes - 3.0 * F32 * layer).abs() < 1.0);
    }
}
