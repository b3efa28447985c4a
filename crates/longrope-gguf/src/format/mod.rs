//! The file format: metadata, table of tensors, data.

mod constants;
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
