//! Where a tensor is stored.

use safetensors::Dtype;

/// Location, shape and type of a stored tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its stored element type.
    pub dtype: Dtype,
    pub(super) file_idx: usize,
    pub(super) offset: u64,
    pub(super) n_bytes: usize,
}

impl StoredTensor {
    /// Offset of its first byte in its file.
    pub fn offset(&self) -> u64 {
        self.offset
    }
}
