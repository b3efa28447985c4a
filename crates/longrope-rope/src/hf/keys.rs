//! The keys of a config that are used in several places.

pub(super) const MODEL_TYPE: &str = "model_type";
pub(crate) const ROPE_SCALING: &str = "rope_scaling";
pub(crate) const ROPE_PARAMETERS: &str = "rope_parameters";
pub(super) const MAX_POSITION: &str = "max_position_embeddings";
/// Other names of the context, of models that programs load by the same code. vLLM takes the smallest of those that are there
/// (`_get_and_verify_max_len` in `config/model.py`).
pub(super) const LENGTHS: [&str; 7] = [
    "n_positions",
    "max_seq_len",
    "seq_length",
    "model_max_length",
    "max_sequence_length",
    "max_seq_length",
    "seq_len",
];
pub(crate) const ORIGINAL_POSITION: &str = "original_max_position_embeddings";
pub(super) const PARTIAL: &str = "partial_rotary_factor";
pub(crate) const THETA: &str = "rope_theta";
pub(super) const HEAD_DIM: &str = "head_dim";
pub(super) const HIDDEN: &str = "hidden_size";
pub(super) const HEADS: &str = "num_attention_heads";

/// `original_max_position_embeddings` of a Phi-3 config that has none, in tokens.
pub(crate) const PHI3_ORIGINAL: usize = 4096;

/// The parts of a rope section that is split by kind of layer.
pub(super) const FULL: &str = "full_attention";
pub(crate) const SLIDING: &str = "sliding_attention";
