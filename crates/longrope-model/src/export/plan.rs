//! Distributing tensors over files.

use safetensors::Dtype;

use super::float_type::{FloatType, StoredFloat};
use super::shard_size::ShardSize;
use crate::checkpoint::StoredTensor;

/// A tensor to write.
#[derive(Clone, Debug)]
pub(super) struct PlannedTensor<'a> {
    pub(super) name: &'a str,
    /// The stored tensor.
    pub(super) source: &'a StoredTensor,
    /// The types to convert from and to; `None` if it stays the same.
    pub(super) convert: Option<(StoredFloat, FloatType)>,
}

impl<'a> PlannedTensor<'a> {
    /// Only floating-point numbers are converted: a model of text and images also has integers and masks, and its other
    /// parts may be quantized.
    pub(super) fn new(name: &'a str, source: &'a StoredTensor, dtype: Option<FloatType>) -> Self {
        let to = dtype.filter(|dtype| dtype.stored() != source.dtype);
        Self {
            name,
            source,
            convert: StoredFloat::of(source.dtype).zip(to),
        }
    }

    /// The written type.
    pub(super) fn dtype(&self) -> Dtype {
        self.convert
            .map_or(self.source.dtype, |(_, to)| to.stored())
    }

    /// The written size in bytes.
    pub(super) fn n_bytes(&self) -> u64 {
        let n_elements: usize = self.source.shape.iter().product();
        (n_elements * self.dtype().bitsize() / 8) as u64
    }
}

/// A file to write.
#[derive(Clone, Debug)]
pub(super) struct PlannedFile<'a> {
    pub(super) name: String,
    /// In file order.
    pub(super) tensors: Vec<PlannedTensor<'a>>,
}

/// Fills one file after the other, in the order of the tensors. Each file holds at most `size`, or a single larger
/// tensor.
pub(super) fn plan(tensors: Vec<PlannedTensor<'_>>, size: ShardSize) -> Vec<PlannedFile<'_>> {
    let mut groups: Vec<Vec<PlannedTensor>> = Vec::new();
    let mut filled = 0;
    for tensor in tensors {
        filled += tensor.n_bytes();
        match groups.last_mut() {
            Some(group) if filled <= size.n_bytes() => group.push(tensor),
            _ => {
                filled = tensor.n_bytes();
                groups.push(vec![tensor]);
            }
        }
    }
    let n_files = groups.len();
    let named = groups.into_iter().enumerate().map(|(i, mut tensors)| {
        // Wide types first, so that every tensor starts at a multiple of its element size. The sort is stable.
        tensors.sort_by_key(|tensor| std::cmp::Reverse(tensor.dtype()));
        let name = if n_files == 1 {
            "model.safetensors".to_owned()
        } else {
            format!("model-{:05}-of-{n_files:05}.safetensors", i + 1)
        };
        PlannedFile { name, tensors }
    });
    named.collect()
}
