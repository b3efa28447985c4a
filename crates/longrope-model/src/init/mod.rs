//! Models with random weights.

mod decoder_config;
mod llama_shape;
mod random_weights;

pub use decoder_config::{DecoderConfig, DecoderSizes};
pub use llama_shape::LlamaShape;
pub use random_weights::{write_random_llama, write_random_model};
