//! The sizes of a model that the formulas use.

use super::memory::Memory;
use crate::config::ModelConfig;
use crate::decoder::placement::layers_per_device;

/// Bytes per number.
pub(super) const F32: f64 = 4.0;

/// The sizes that the formulas use.
pub(super) struct Sizes {
    pub(super) params: f64,
    /// Parameters of the largest layer.
    pub(super) layer_params: f64,
    /// Parameters of all layers.
    pub(super) all_layers: f64,
    pub(super) layers: f64,
    pub(super) h: f64,
    pub(super) q: f64,
    pub(super) k: f64,
    /// Width inside the MLP, or inside all experts that a token uses.
    pub(super) i: f64,
    /// Vectors that a token moves to experts and back.
    pub(super) moved: f64,
    /// Parameters of the layers that a token does not use.
    pub(super) unused_params: f64,
    pub(super) v: f64,
    pub(super) rotary_dim: f64,
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
    pub(super) fn of(model: &ModelConfig) -> Self {
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
    pub(super) fn angle_bytes(&self) -> f64 {
        F32 * self.rotary_dim + 24.0
    }

    /// Numbers of a row in a layer, besides its input: those of the MLP, or those of the attention if they are more.
    pub(super) fn row(&self) -> f64 {
        let mlp = 2.0 * self.i + (1.0 + self.moved) * self.h;
        mlp.max(3.0 * self.q + 2.0 * self.h)
    }

    /// The memory of each of `n_devices`, from the parameters outside the layers and the number of layers on it.
    pub(super) fn on_devices(
        &self,
        model: &ModelConfig,
        n_devices: usize,
        memory: impl Fn(f64, f64) -> Memory,
    ) -> Vec<Memory> {
        let parts = layers_per_device(model, n_devices).into_iter();
        let of_device = |(device, n_layers)| {
            let ends = if device == 0 { self.ends() } else { 0.0 };
            memory(ends, n_layers as f64)
        };
        parts.enumerate().map(of_device).collect()
    }

    /// Parameters outside the layers.
    pub(super) fn ends(&self) -> f64 {
        self.params - self.all_layers
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::Path;

    use super::*;
    use crate::estimate::{
        Held, Memory, TrainedParameters, Training, adapter_parameters, eval_memory, forward_flops,
        train_memory,
    };

    /// The bundled model.
    pub(in super::super) fn tiny() -> ModelConfig {
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

    /// Compares a formula with measured peaks in KiB.
    pub(in super::super) fn check(memory: Memory, measured: &[(usize, f64)]) {
        for (n, kibibytes) in measured {
            let ratio = memory.at(*n) / (kibibytes * 1024.0);
            assert!((0.9..1.1).contains(&ratio), "{n} tokens: {ratio}");
        }
    }

    #[test]
    fn sizes_that_overflow_do_not_look_small() {
        let mut model = tiny();
        model.vocab_size = usize::MAX / 2;
        assert!(eval_memory(&model, Held::F32).fixed_bytes > 1e18);
        assert!(train_memory(&model, Training::f32(TrainedParameters::All)).fixed_bytes > 1e18);
        assert!(forward_flops(&model, 1024) > 1e18);
        (model.n_heads, model.head_dim) = (usize::MAX, usize::MAX);
        assert_eq!(adapter_parameters(&model, usize::MAX), usize::MAX);
        assert!(eval_memory(&model, Held::F32.streamed(true)).fixed_bytes > 1e18);
    }
}
