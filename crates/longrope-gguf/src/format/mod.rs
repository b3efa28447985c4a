//! The file format: metadata, table of tensors, data.

mod cursor;
mod dequantize;
mod file;
mod quantize;
mod tensor_type;
mod value;
mod writer;

pub use dequantize::dequantize;
pub use file::{GgufFile, StoredTensor};
pub use quantize::{Overflow, quantize_q8_0};
pub use tensor_type::TensorType;
pub use value::{Metadata, Value};
pub use writer::{Planned, Writer};

/// What every file begins with.
pub(crate) const MAGIC: [u8; 4] = *b"GGUF";
/// The version that is written.
pub(crate) const VERSION: u32 = 3;
/// The key of the alignment of tensors in bytes.
pub(crate) const ALIGNMENT_KEY: &str = "general.alignment";
/// The alignment of files without that key, and of written ones.
pub(crate) const ALIGNMENT: u64 = 32;
