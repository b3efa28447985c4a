#![doc = include_str!("../README.md")]
#![allow(
    clippy::doc_markdown,
    reason = "RoPE, YaRN, LongRoPE and LLaMA are names, not code"
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::float_cmp,
        reason = "a test fails by panicking, and exact numbers are compared on purpose"
    )
)]

mod error;
mod format;
mod import;
mod interleave;
mod loss;
mod model;
mod tokenizer;

pub use error::{Error, Result};
pub use format::{
    GgufFile, Metadata, Overflow, Planned, StoredTensor, TensorType, Value, Writer, dequantize,
    quantize_q8_0,
};
pub use import::{config_json, origin_keys, write_folder};
pub use interleave::{interleave_rows, separate_rows};
pub use loss::Loss;
pub use model::{
    Architecture, MappedTensor, ModelShape, RopeFactors, RopeKeys, Sets, YarnKeys, map_tensors,
    model_keys, rope_keys, rope_tensors,
};
pub use tokenizer::{TokenizerSource, tokenizer_keys};
