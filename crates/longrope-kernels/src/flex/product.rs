//! Products of two whole matrices, on all threads.
//!
//! The same as Burn's, whose results are filled with zeros and copied to another place before they are computed.

use burn_flex::FlexTensor;

use super::matrix::{Matrix, product};
use super::view::{View, contiguous};

/// `a · bᵀ`, `[m, n]` of `[m, k]` and `[n, k]`.
pub(super) fn of_rows(a: &FlexTensor, b: &FlexTensor) -> FlexTensor {
    let (a, b) = (View::<2>::new(a), View::<2>::new(b));
    multiplied(
        [a.dims[0], b.dims[0], a.dims[1]],
        matrix(&a),
        matrix(&b).transposed(),
    )
}

/// `a · b`, `[m, n]` of `[m, k]` and `[k, n]`.
pub(super) fn of_columns(a: &FlexTensor, b: &FlexTensor) -> FlexTensor {
    let (a, b) = (View::<2>::new(a), View::<2>::new(b));
    multiplied([a.dims[0], b.dims[1], a.dims[1]], matrix(&a), matrix(&b))
}

/// `aᵀ · b`, `[m, n]` of `[k, m]` and `[k, n]`.
pub(super) fn over_rows(a: &FlexTensor, b: &FlexTensor) -> FlexTensor {
    let (a, b) = (View::<2>::new(a), View::<2>::new(b));
    multiplied(
        [a.dims[1], b.dims[1], a.dims[0]],
        matrix(&a).transposed(),
        matrix(&b),
    )
}

fn matrix<'a>(view: &View<'a, 2>) -> Matrix<'a> {
    Matrix {
        data: view.from([0, 0]),
        strides: view.strides,
    }
}

fn multiplied(dims: [usize; 3], left: Matrix, right: Matrix) -> FlexTensor {
    let [m, n, _] = dims;
    contiguous(product(dims, left, right), vec![m, n])
}
