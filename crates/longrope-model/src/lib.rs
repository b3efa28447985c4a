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

mod checkpoint;
mod config;
mod decoder;
mod error;
pub mod estimate;
mod export;
mod hub_name;
mod inference;
mod init;
mod kv_cache;
mod lora;
mod modules;
mod parameters;
mod rotary;
mod source;
mod training;

pub use checkpoint::non_finite::{NonFiniteWeight, first_non_finite, non_finite_tensors};
pub use checkpoint::write::{TensorEntry, write_safetensors};
pub use checkpoint::{Checkpoint, Damage, StoredTensor, WeightProblem, WeightReport};
pub use config::{ModelConfig, attention_maps, read_config_json};
pub use decoder::{Decoder, LayerHook, Placement, Precision, layers_per_device};
pub use error::{Error, Result};
pub use export::{
    ConfigChanges, EXPORT_PREFIX, ExportOptions, ExportedGguf, FloatType, GgufOptions, ShardSize,
    ShouldStop, changed_config, copy_companions, export_gguf, export_hf, gguf_rope, is_companion,
    is_replaceable,
};
pub use hub_name::{is_hub_name, name_in_hub_cache};
pub use inference::{
    FIRST_CAPACITY, FactorChoice, GenerateOptions, Generation, Sampling, TokenBatch, check_losses,
    stop_tokens,
};
pub use init::{DecoderConfig, DecoderSizes, LlamaShape, write_random_llama, write_random_model};
pub use kv_cache::KvCache;
pub use lora::{LoraConfig, LoraError};
pub use parameters::{Parameter, ParameterKind, Selection, Trained};
pub use rotary::{Rotary, RotaryMaker};
pub use source::{ResultSource, RopeSource, rope_fingerprint};
pub use training::{Gradients, LossGradients, Recompute, Teacher, TrainingBatch};
