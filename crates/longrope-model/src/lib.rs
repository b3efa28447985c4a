#![doc = include_str!("../README.md")]
//!
//! # Design
//!
//! Evaluation is layer-major: the whole sequence goes through one layer in chunks, then through the next. It needs a few
//! tensors of `[seq, hidden]`. There is no `[seq, seq]` tensor, no `[seq, vocab]` tensor (except in
//! [`Decoder::forward`]), and no cache over all layers (except for generation).
//!
//! Module fields have the parameter names of Hugging Face, so the path of a field is its key in a checkpoint. No tensor
//! is transposed or permuted when it is read or written.
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
mod finite;
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
mod non_finite;
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
pub use finite::check_losses;
pub use generate::{FactorChoice, GenerateOptions, Generation};
pub use gradients::Gradients;
pub use init::write_random_llama;
pub use kv_cache::KvCache;
pub use llama_shape::LlamaShape;
pub use lora::LoraConfig;
pub use lora_error::LoraError;
pub use nll::TokenBatch;
pub use non_finite::{NonFiniteWeight, first_non_finite};
pub use parameters::{Parameter, ParameterKind, Trained};
pub use rotary::Rotary;
pub use sampling::Sampling;
pub use training::{LossGradients, Recompute, TrainingBatch};
pub use write::{TensorEntry, write_safetensors};
