//! Reads a Hugging Face `config.json`, and writes its rope.
//!
//! transformers 4 spreads the rope over `rope_theta`, `partial_rotary_factor`, `original_max_position_embeddings` and
//! `rope_scaling`; transformers 5 has one object, `rope_parameters`. The terms of Hugging Face are used in this module and
//! in `doctor` only.

mod activation;
mod attention;
mod bounds;
mod config;
mod document;
mod expert_keys;
mod experts;
mod family;
mod fields;
mod head;
mod keys;
mod layout;
mod long_rope;
mod nested;
mod read;
mod two_ropes;
mod windows;
mod write;

pub use activation::Activation;
pub use config::{HfConfig, read_hf_config};
pub use document::parse_hf_config;
pub use experts::{ExpertKind, Experts, Router, Routing, SharedExpert};
pub use family::Family;
pub use head::rotated_share;
pub(crate) use keys::{
    ORIGINAL_POSITION, PHI3_ORIGINAL, ROPE_PARAMETERS, ROPE_SCALING, SLIDING, THETA,
};
pub use layout::{
    AttentionLayout, Biases, HeadNorm, Layout, MlpKind, MlpLayout, ModuleNames, Multipliers,
    NormKind, NormOrder, NormSpan, Pairs, QueryGrowth, Residual, Rotation,
};
pub use long_rope::remove_mscales;
pub(crate) use nested::language_model;
pub use read::{HfRope, read_hf_rope};
pub(crate) use two_ropes::TwoRopes;
pub use write::{hf_rope_keys, write_hf_rope};
