//! The sizes of a model, as far as a file states them.

use longrope_rope::{Family, HfConfig, Layout};

/// The sizes and the layout of a model.
#[derive(Clone, Copy, Debug)]
pub struct ModelShape<'a> {
    /// The family; used in messages only.
    pub family: Family,
    /// What the decoder computes.
    pub layout: &'a Layout,
    /// Sliding window of each layer, in tokens.
    pub windows: &'a [Option<usize>],
    /// Number of tokens in the vocabulary.
    pub vocab_size: usize,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Width inside the MLP.
    pub intermediate_size: usize,
    /// Number of layers.
    pub n_layers: usize,
    /// Number of query heads.
    pub n_heads: usize,
    /// Number of key and value heads.
    pub n_kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Number of rotated dimensions of a head.
    pub rotary_dim: usize,
    /// Constant of the normalizations.
    pub norm_eps: f64,
    /// Whether the head shares the embedding matrix.
    pub tied: bool,
}

impl<'a> From<&'a HfConfig> for ModelShape<'a> {
    fn from(config: &'a HfConfig) -> Self {
        Self {
            family: config.family,
            layout: &config.layout,
            windows: &config.windows,
            vocab_size: config.vocab_size,
            hidden_size: config.hidden_size,
            intermediate_size: config.intermediate_size,
            n_layers: config.n_layers,
            n_heads: config.n_heads,
            n_kv_heads: config.n_kv_heads,
            head_dim: config.head_dim,
            rotary_dim: config.rope.spec.rotary_dim,
            norm_eps: config.norm_eps,
            tied: config.tied_embeddings,
        }
    }
}
