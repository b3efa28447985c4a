//! Reading the operands of the loss.

use burn::tensor::DType;
use burn_flex::FlexTensor;

use crate::flex::matrix::Matrix;
use crate::flex::view::View;

/// The rows of a matrix, starting at `first`.
pub(super) fn rows_from<'a>(view: &View<'a, 2>, first: usize) -> Matrix<'a> {
    Matrix {
        data: view.from([first, 0]),
        strides: view.strides,
    }
}

/// The elements of a 1-D integer tensor. A negative element becomes an index outside any vocabulary, so its loss is
/// NaN.
pub(super) fn indices(tensor: &FlexTensor) -> Vec<usize> {
    let dense = tensor.to_contiguous();
    match dense.dtype() {
        DType::I64 => {
            let ids = dense.as_slice::<i64>().unwrap_or_default();
            ids.iter()
                .map(|id| usize::try_from(*id).unwrap_or(usize::MAX))
                .collect()
        }
        DType::I32 => {
            let ids = dense.as_slice::<i32>().unwrap_or_default();
            ids.iter()
                .map(|id| usize::try_from(*id).unwrap_or(usize::MAX))
                .collect()
        }
        other => panic!("targets are {other:?}, expected 32-bit or 64-bit integers"),
    }
}
