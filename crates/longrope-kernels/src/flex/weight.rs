//! Weights of any float type, widened to `f32` a block of rows at a time.

use burn::tensor::{DType, bf16, f16};
use burn_flex::FlexTensor;
use half::slice::HalfFloatSliceExt;

use super::matrix::Matrix;
use super::view::View;

/// A matrix `[out, in]` whose rows are read in blocks.
pub(super) enum Weight<'a> {
    Single(View<'a, 2>),
    Half(Halves<'a>),
}

/// A matrix in half precision with contiguous rows.
pub(super) struct Halves<'a> {
    data: Elements<'a>,
    dims: [usize; 2],
    /// Position of the first element.
    start: usize,
    /// Elements between the starts of rows.
    stride: usize,
}

#[derive(Clone, Copy)]
enum Elements<'a> {
    F16(&'a [f16]),
    Bf16(&'a [bf16]),
}

/// Whether [`Weight`] can read this matrix without a copy.
pub(super) fn is_readable(tensor: &FlexTensor) -> bool {
    match tensor.dtype() {
        DType::F32 => true,
        DType::F16 | DType::BF16 => {
            let strides = tensor.layout().strides();
            strides[1] == 1 && strides[0] >= 0
        }
        _ => false,
    }
}

impl<'a> Weight<'a> {
    /// # Panics
    /// If the matrix [cannot be read](is_readable).
    pub(super) fn new(tensor: &'a FlexTensor) -> Self {
        let data = match tensor.dtype() {
            DType::F16 => Elements::F16(tensor.storage()),
            DType::BF16 => Elements::Bf16(tensor.storage()),
            _ => return Self::Single(View::new(tensor)),
        };
        let layout = tensor.layout();
        let (shape, strides) = (layout.shape(), layout.strides());
        assert_eq!(layout.num_dims(), 2, "rank");
        assert!(strides[1] == 1 && strides[0] >= 0, "rows are contiguous");
        Self::Half(Halves {
            data,
            dims: [shape[0], shape[1]],
            start: layout.start_offset(),
            stride: strides[0].cast_unsigned(),
        })
    }

    pub(super) fn dims(&self) -> [usize; 2] {
        match self {
            Self::Single(view) => view.dims,
            Self::Half(halves) => halves.dims,
        }
    }

    /// Whether the elements of a row are contiguous, so that [`Matrix::dense_row`] can be called on [`Self::rows`].
    pub(super) fn has_dense_rows(&self) -> bool {
        match self {
            Self::Single(view) => view.has_dense_rows() && view.strides[0] >= 0,
            Self::Half(_) => true,
        }
    }

    /// `n` rows starting at `first`, in `f32`. Halves are widened into `scratch`.
    pub(super) fn rows<'s>(&self, first: usize, n: usize, scratch: &'s mut Vec<f32>) -> Matrix<'s>
    where
        'a: 's,
    {
        match self {
            Self::Single(view) => Matrix {
                data: view.from([first, 0]),
                strides: view.strides,
            },
            Self::Half(halves) => {
                let [_, width] = halves.dims;
                scratch.resize(n * width, 0.0);
                for (row, to) in (first..first + n).zip(scratch.chunks_exact_mut(width)) {
                    let at = halves.start + row * halves.stride;
                    match halves.data {
                        Elements::F16(data) => data[at..at + width].convert_to_f32_slice(to),
                        Elements::Bf16(data) => widen(&data[at..at + width], to),
                    }
                }
                Matrix::rows(scratch, width)
            }
        }
    }
}

/// `bf16` is the upper half of `f32`.
fn widen(from: &[bf16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f32::from_bits(u32::from(from.to_bits()) << 16);
    }
}
