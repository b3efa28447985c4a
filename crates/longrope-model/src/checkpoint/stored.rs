//! One tensor in a file.

use safetensors::Dtype;

/// Where a tensor lies and how it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredTensor {
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its element type as stored.
    pub dtype: Dtype,
    pub(super) file_idx: usize,
    pub(super) offset: u64,
    pub(super) n_bytes: usize,
}
