//! Memory to measure a model, and to generate text with it.

use super::memory::Memory;
use super::sizes::{F32, Sizes};
use crate::config::ModelConfig;

/// Memory of the program itself: code, tokenizer, text, and what the allocator keeps. Measured.
pub const EVAL_PROGRAM_BYTES: f64 = 70e6;

/// Memory that the allocator takes from the system for what is kept of every token, relative to its bytes. Measured.
pub const EVAL_ALLOCATOR_OVERHEAD: f64 = 1.4;

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

/// Memory to evaluate perplexity: `4P + 1.4·n·4·(h + 2k + rotary) + min(n, 2048)·4·max(2i + h, 3q + 2h)`.
///
/// Each token needs its residual stream, and its keys and values in one layer. With streamed weights, `P` counts only
/// embeddings, head and one layer. In half precision, a weight has two bytes.
pub fn eval_memory(model: &ModelConfig, held: Held) -> Memory {
    let s = Sizes::of(model);
    eval_with(&s, held, s.ends(), s.all_layers)
}

/// [`eval_memory`] on each of `n_devices` that hold some of the layers.
pub fn eval_memories(model: &ModelConfig, held: Held, n_devices: usize) -> Vec<Memory> {
    let s = Sizes::of(model);
    s.on_devices(model, n_devices, |ends, n_layers| {
        eval_with(&s, held, ends, n_layers / s.layers * s.all_layers)
    })
}

fn eval_with(s: &Sizes, held: Held, ends: f64, layers: f64) -> Memory {
    let layers = if held.streamed {
        layers.min(s.layer_params)
    } else {
        layers
    };
    Memory {
        bytes_per_token: EVAL_ALLOCATOR_OVERHEAD * (F32 * (s.h + 2.0 * s.k) + s.angle_bytes()),
        bytes_per_row: F32 * s.row(),
        ..Memory::fixed(EVAL_PROGRAM_BYTES + held.bytes as f64 * (ends + layers))
    }
}

/// Memory to generate text: as [`eval_memory`] with `4v` more, and `2·layers·k` numbers per token instead of `2k`.
///
/// Each token needs its keys and values in all layers. A prompt goes through the layers in chunks, which are at most as
/// long as those of an evaluation.
pub fn generate_memory(model: &ModelConfig, held: Held) -> Memory {
    let s = Sizes::of(model);
    let eval = eval_memory(model, held);
    Memory {
        fixed_bytes: eval.fixed_bytes + F32 * s.v,
        bytes_per_token: F32 * (2.0 * s.layers * s.k + s.h) + s.angle_bytes(),
        ..eval
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::sizes::tests::{check, tiny};

    /// Measured peak memory of `eval ppl` on the bundled model, in KiB.
    const MEASURED: [(usize, f64); 4] = [
        (2048, 96_540.0),
        (4096, 105_456.0),
        (8192, 123_224.0),
        (16_384, 160_136.0),
    ];

    #[test]
    fn evaluation_was_measured() {
        check(eval_memory(&tiny(), Held::F32), &MEASURED);
    }

    #[test]
    fn generation_keeps_the_keys_and_values_of_all_layers() {
        let memory = generate_memory(&tiny(), Held::F32);
        // Two kinds of rows in 4 layers, 2 heads of 64 numbers of 4 bytes.
        assert!(memory.bytes_per_token > f64::from(2 * 4 * 2 * 64 * 4));
        let whole = memory.at(4096);
        assert!((100e6..200e6).contains(&whole), "{whole}");
    }

    #[test]
    fn streaming_keeps_one_layer() {
        let model = tiny();
        let (all, one) = (
            eval_memory(&model, Held::F32),
            eval_memory(&model, Held::F32.streamed(true)),
        );
        let layer = Sizes::of(&model).layer_params;
        assert!((all.fixed_bytes - one.fixed_bytes - 3.0 * F32 * layer).abs() < 1.0);
    }

    #[test]
    fn devices_share_the_weights_of_the_layers() {
        let model = tiny();
        let all = eval_memory(&model, Held::F32);
        let parts = eval_memories(&model, Held::F32, 2);
        let weights = |memory: &Memory| memory.fixed_bytes - EVAL_PROGRAM_BYTES;
        assert!((parts.iter().map(weights).sum::<f64>() - weights(&all)).abs() < 1.0);
        assert_eq!(eval_memories(&model, Held::F32, 1), [all]);
    }
}
