#![doc = include_str!("../README.md")]
//!
//! # Design
//!
//! Evaluation is layer-major: the whole sequence goes through one layer in chunks, then through the next. It needs a few
//! tensors of `[seq, hidden]`. There is no `[seq, seq]` tensor, no `[seq, vocab]` tensor (except in
//! [`Decoder::forward`]), and no cache over all layers (except for generation).
//!
//! A model is described by data: its [`Layout`](longrope_rope::Layout) says which parts the layers have and what they are
//! called in a checkpoint. There is one decoder for all families. No tensor is transposed or permuted when it is read or
//! written.
#![recursion_limit = "256"]

mod attention;
mod block;
mod buffer_limit;
mod builder;
mod checkpoint;
mod config;
mod config_file;
mod decoder;
mod decoder_config;
mod distillation;
mod error;
pub mod estimate;
mod experts;
mod export;
mod feed_forward;
mod finite;
mod generate;
mod gradients;
mod grouped_attention;
mod head;
mod hub_name;
mod init;
mod kv_cache;
mod linear;
mod llama_shape;
mod logits;
mod lora;
mod lora_config;
mod lora_error;
mod lora_files;
mod mlp;
mod module_names;
mod modules;
mod nll;
mod non_finite;
mod norm;
mod parameters;
mod placement;
mod precision;
mod rotary;
mod sampling;
mod selection;
mod slot;
mod source;
mod stop_tokens;
mod tensors;
mod training;
mod unique_keys;
mod write;

pub use checkpoint::{Checkpoint, Damage, StoredTensor, WeightProblem, WeightReport};
pub use config::ModelConfig;
pub use config_file::read_config_json;
pub use decoder::{Decoder, LayerHook};
pub use decoder_config::DecoderConfig;
pub use distillation::Teacher;
pub use error::{Error, Result};
pub use export::{
    ConfigChanges, ExportOptions, FloatType, GgufOptions, ShardSize, changed_config,
    copy_companions, export_gguf, export_hf, gguf_rope, is_companion, is_replaceable,
};
pub use finite::check_losses;
pub use generate::{FIRST_CAPACITY, FactorChoice, GenerateOptions, Generation};
pub use gradients::Gradients;
pub use hub_name::is_hub_name;
pub use init::{write_random_llama, write_random_model};
pub use kv_cache::KvCache;
pub use llama_shape::LlamaShape;
pub use lora_config::LoraConfig;
pub use lora_error::LoraError;
pub use module_names::attention_maps;
pub use nll::TokenBatch;
pub use non_finite::{NonFiniteWeight, first_non_finite, first_non_finite_in};
pub use parameters::{Parameter, ParameterKind, Trained};
pub use placement::{Placement, layers_per_device};
pub use precision::Precision;
pub use rotary::{Rotary, RotaryMaker};
pub use sampling::Sampling;
pub use selection::Selection;
pub use source::{ResultSource, RopeSource, rope_fingerprint};
pub use stop_tokens::stop_tokens;
pub use training::{LossGradients, Recompute, TrainingBatch};
pub use write::{TensorEntry, write_safetensors};
