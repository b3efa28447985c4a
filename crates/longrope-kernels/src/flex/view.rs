//! Reading Flex tensors through their strides, and making new ones.

use burn::tensor::{Bytes, DType, Shape};
use burn_flex::{FlexTensor, Layout};

/// An `f32` tensor of rank `D`, read through its strides.
pub(super) struct View<'a, const D: usize> {
    data: &'a [f32],
    pub(super) dims: [usize; D],
    pub(super) strides: [isize; D],
    offset: usize,
}

impl<'a, const D: usize> View<'a, D> {
    /// # Panics
    /// If the tensor is not `f32` of rank `D`.
    pub(super) fn new(tensor: &'a FlexTensor) -> Self {
        let layout = tensor.layout();
        assert_eq!(layout.num_dims(), D, "rank");
        let shape = layout.shape();
        let strides = layout.strides();
        Self {
            data: tensor.storage(),
            dims: std::array::from_fn(|d| shape[d]),
            strides: std::array::from_fn(|d| strides[d]),
            offset: layout.start_offset(),
        }
    }

    /// Position of the element at `index` in the storage.
    fn position(&self, index: [usize; D]) -> usize {
        let mut at = self.offset.cast_signed();
        for (i, stride) in index.iter().zip(self.strides) {
            at += i.cast_signed() * stride;
        }
        at.cast_unsigned()
    }

    /// The storage, starting at the element at `index`.
    pub(super) fn from(&self, index: [usize; D]) -> &'a [f32] {
        &self.data[self.position(index)..]
    }

    /// Whether elements along the last dimension are contiguous in memory.
    pub(super) fn has_dense_rows(&self) -> bool {
        self.strides[D - 1] == 1 || self.dims[D - 1] == 1
    }

    /// The elements along the last dimension at `index`; the last entry of `index` is ignored. Copies them into
    /// `scratch` if they are not contiguous.
    pub(super) fn row<'s>(&self, mut index: [usize; D], scratch: &'s mut Vec<f32>) -> &'s [f32]
    where
        'a: 's,
    {
        index[D - 1] = 0;
        let n = self.dims[D - 1];
        if self.has_dense_rows() {
            return &self.from(index)[..n];
        }
        scratch.clear();
        for i in 0..n {
            index[D - 1] = i;
            scratch.push(self.data[self.position(index)]);
        }
        scratch
    }
}

/// A tensor that owns `data`, with the given strides.
pub(super) fn strided(data: Vec<f32>, dims: Vec<usize>, strides: Vec<isize>) -> FlexTensor {
    let layout = Layout::new(Shape::from(dims), strides, 0);
    FlexTensor::new(Bytes::from_elems(data), layout, DType::F32)
}

/// A contiguous tensor that owns `data`.
pub(super) fn contiguous(data: Vec<f32>, dims: Vec<usize>) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from(dims));
    FlexTensor::new(Bytes::from_elems(data), layout, DType::F32)
}
