//! One decoder for RoPE language models on Burn, and Hugging Face checkpoints in and out.
//!
//! The decoder holds weights and nothing else. Which angle a position gets is an argument of every
//! call ([`Rotary`], made from a [`longrope_rope::ResolvedRope`]), so that thousands of rescalings
//! can be tried on one frozen model.
//!
//! Evaluation is layer-major: the whole sequence goes through one layer in chunks, then through
//! the next. Memory is a few tensors of `[seq, hidden]`; there is no `[seq, seq]`, no `[seq, vocab]`
//! and, but for generation, no cache over all layers.
//!
//! Module fields carry Hugging Face's parameter names, so a field path is a checkpoint key, and
//! nothing is transposed or permuted on the way in or out.
#![recursion_limit = "256"]

mod attention;
mod block;
mod builder;
mod checkpoint;
mod config;
mod decoder;
mod decoder_config;
mod error;
pub mod estimate;
mod export;
mod family;
mod generate;
mod gradients;
mod init;
mod kv_cache;
mod linear;
mod llama_shape;
mod logits;
mod lora;
mod lora_error;
mod lora_files;
mod mlp;
mod modules;
mod nll;
mod norm;
mod parameters;
mod rotary;
mod sampling;
mod training;
mod write;

pub use checkpoint::{Checkpoint, StoredTensor, WeightProblem, WeightReport};
pub use config::ModelConfig;
pub use decoder::{Decoder, LayerHook};
pub use decoder_config::DecoderConfig;
pub use error::{Error, Result};
pub use export::{ExportOptions, FloatType, ShardSize, copy_companions, export_hf};
pub use family::Family;
pub use generate::{FactorChoice, GenerateOptions, Generation};
pub use gradients::Gradients;
pub use init::write_random_llama;
pub use kv_cache::KvCache;
pub use llama_shape::LlamaShape;
pub use lora::LoraConfig;
pub use lora_error::LoraError;
pub use nll::TokenBatch;
pub use parameters::{Parameter, ParameterKind, Trained};
pub use rotary::Rotary;
pub use sampling::Sampling;
pub use training::{LossGradients, Recompute, TrainingBatch};
pub use write::{TensorEntry, write_safetensors};
