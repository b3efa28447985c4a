//! A model as the format sees it.

use longrope_gguf::ModelShape;

use crate::config::ModelConfig;

/// The parts and sizes of a model that decide which architecture computes it.
pub(super) fn shape(model: &ModelConfig) -> ModelShape<'_> {
    ModelShape {
        family: model.family,
        layout: &model.layout,
        windows: &model.windows,
        vocab_size: model.vocab_size,
        hidden_size: model.hidden_size,
        intermediate_size: model.intermediate_size,
        n_layers: model.n_layers,
        n_heads: model.n_heads,
        n_kv_heads: model.n_kv_heads,
        head_dim: model.head_dim,
        rotary_dim: model.rope.rotary_dim,
        norm_eps: model.norm_eps,
        tied: model.tied_embeddings,
    }
}
